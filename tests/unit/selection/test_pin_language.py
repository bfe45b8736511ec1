"""The base stage on language models: decoders and encoder-decoders, sharded, tied, with templates, from the Hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
from safetensors.torch import load_file, save_file
from tests import tiny

from tunesmith.core import digests
from tunesmith.core.errors import ModelError
from tunesmith.lifecycle.steps import StepSpec, step_key
from tunesmith.models.causal import load_causal, load_language, load_seq2seq
from tunesmith.selection.config import BaseConfig
from tunesmith.selection.locate import Located, locate
from tunesmith.selection.pin import Base, inspect


def look(folder: Path, task: Any = "chat") -> dict[str, Any]:
    return inspect(Located("tiny", folder), task)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny Llama that a test may damage."""
    return shutil.copytree(tiny.decoder("llama"), tmp_path / "llama")


@pytest.mark.parametrize("family", get_args(tiny.Decoder))
def test_facts_of_every_family(family: tiny.Decoder, tmp_path: Path) -> None:
    tiny.write_decoder(tmp_path, family)
    facts, model = look(tmp_path), load_causal(tmp_path)
    assert facts["network"] == "decoder"
    assert (facts["hidden"], facts["num_layers"]) == (tiny.HIDDEN, 2)
    assert facts["max_positions"] == facts["max_tokens"] == tiny.CONTEXT
    assert facts["num_vocabulary"] == model.get_input_embeddings().num_embeddings  # type: ignore[operator]
    is_tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight  # type: ignore[operator]
    assert facts["is_tied"] == is_tied
    assert facts["num_parameters"] == sum(one.numel() for one in model.parameters())
    assert facts["tokenizer"] == digests.of_file(tmp_path / "tokenizer.json")
    assert facts["has_template"] is False


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_encoder_decoders_write_and_carry_no_head(family: Any, tmp_path: Path) -> None:
    tiny.write_seq2seq(tmp_path, family=family)
    facts = look(tmp_path, "translate")
    assert (facts["network"], facts["hidden"], facts["num_layers"]) == ("encoder_decoder", tiny.HIDDEN, 2)
    # T5's positions are relative: there is no last one, and it was trained on 512 tokens.
    assert (facts["max_positions"], facts["max_tokens"]) == ((None, 512) if family == "t5" else (256, 256))
    load_seq2seq(tmp_path)
    with pytest.raises(ModelError, match="both in one"):
        look(tmp_path, "classify")
    with pytest.raises(ModelError, match="not a decoder"):
        load_causal(tmp_path)


def test_a_template_is_seen_in_either_place_and_pinned(folder: Path, tmp_path: Path) -> None:
    edit(folder / "tokenizer_config.json", chat_template="{{ messages }}")
    assert look(folder)["has_template"] is True
    edit(folder / "tokenizer_config.json", chat_template=None)
    assert look(folder)["has_template"] is False
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    context = tiny.FakeContext(tmp_path / "step")
    facts = Base(BaseConfig(model=str(folder), task="chat")).run({}, context)["base"]
    assert facts["has_template"] is True
    assert (context.out / "base" / "files" / "chat_template.jinja").read_text() == "{{ messages }}"


def shard(folder: Path) -> None:
    """The weights in two files with an index, as large models come."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {f"model-0000{at}-of-00002.safetensors": names[at - 1 :: 2] for at in (1, 2)}
    for file, mine in parts.items():
        save_file({name: weights[name] for name in mine}, folder / file, {"format": "pt"})
    entries = {name: file for file, mine in parts.items() for name in mine}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": entries}))


def test_sharded_weights_are_the_same_model(folder: Path) -> None:
    whole, before = look(folder), load_causal(folder).state_dict()
    shard(folder)
    assert {**look(folder), "files": None} == {**whole, "files": None}
    after = load_causal(folder).state_dict()
    assert all((after[name] == before[name]).all() for name in before)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match="model-00002-of-00002"):
        look(folder)


@pytest.mark.parametrize("strange", ["../secret.safetensors", "/etc/secret.safetensors", "more/../../x", "..", ""])
def test_an_index_that_leaves_the_folder_is_refused(strange: str, folder: Path) -> None:
    """transformers opens what the index names, wherever it lies."""
    shard(folder)
    index = folder / "model.safetensors.index.json"
    entries = json.loads(index.read_text())["weight_map"]
    shutil.copy(folder / "model-00001-of-00002.safetensors", folder.parent / "secret.safetensors")
    edit(index, weight_map={**entries, "model.norm.weight": strange})
    for ask in (look, lambda place: locate(str(place)).fingerprint()):
        with pytest.raises(ModelError, match="outside of the model's folder") as caught:
            ask(folder)
        assert strange in str(caught.value.seen)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', "{}"])
def test_a_damaged_index_is_named(text: str, folder: Path) -> None:
    shard(folder)
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match="index of the model's weight files is damaged"):
        look(folder)


def test_a_shard_without_the_weights_that_the_index_promises(folder: Path) -> None:
    shard(folder)
    shutil.copy(folder / "model-00001-of-00002.safetensors", folder / "model-00002-of-00002.safetensors")
    with pytest.raises(ModelError, match="weights are missing"):
        load_causal(folder)


@pytest.mark.parametrize("family", ["qwen2", "gpt2"])
def test_tied_embeddings_stay_one_tensor_in_shards_and_out(family: Any, tmp_path: Path) -> None:
    tiny.write_decoder(tmp_path / "whole", family)
    before = load_causal(tmp_path / "whole")
    shard(Path(shutil.copytree(tmp_path / "whole", tmp_path / "shards")))
    after: Any = load_causal(tmp_path / "shards")
    assert after.get_input_embeddings().weight is after.get_output_embeddings().weight
    after.save_pretrained(tmp_path / "again")
    assert not any("lm_head" in name for name in load_file(tmp_path / "again" / "model.safetensors"))
    assert all(
        (one == before.state_dict()[name]).all() for name, one in load_causal(tmp_path / "again").state_dict().items()
    )


def test_weights_that_lie_there_twice_count_once(folder: Path) -> None:
    """Mistral's folders hold them in shards and in its own program's form."""
    expected = look(folder)
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert look(folder) == expected and "consolidated.safetensors" not in Located("tiny", folder).files()
    shard(folder)
    assert look(folder) == expected and "consolidated.safetensors" not in Located("tiny", folder).files()


def test_a_language_head_that_lacks_is_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"missing or of another shape[\s\S]*lm_head"):
        load_language(folder)
    edit(folder / "config.json", tie_word_embeddings=True)  # then there is none to lack
    assert look(folder)["is_tied"] is True
    load_language(folder)


def test_ids_without_an_embedding_are_refused(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer.json").read_text())
    settings["added_tokens"].append({**settings["added_tokens"][0], "id": 300, "content": "<new>"})
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="no embedding for") as caught:
        look(folder)
    assert "300" in str(caught.value.seen)


def test_an_encoder_writes_no_text() -> None:
    assert look(tiny.encoder("bert"))["network"] == "encoder"
    with pytest.raises(ModelError, match="is an encoder"):
        load_causal(tiny.encoder("bert"))


def test_the_shared_model_is_what_its_page_says(shared_models: Path) -> None:
    facts = look(shared_models / "stories260k")
    told = ("num_parameters", "hidden", "num_layers", "num_vocabulary", "max_tokens", "is_tied", "dtype")
    assert [facts[name] for name in told] == [260_032, 64, 5, 512, 512, True, "BF16"]


def test_a_decoder_of_the_hub_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharded and with a template, through huggingface_hub's own reading of its cache."""
    from huggingface_hub import constants

    shard(folder)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    commit = "b" * 40
    repository = tmp_path / "hub" / "models--owner--tiny-llama"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    located = locate(f"owner/tiny-llama@{commit}")
    assert sorted(located.files()) == sorted(path.name for path in folder.iterdir())
    assert inspect(located, "chat")["has_template"] is True
    # What a plan found is what the step pins, though the branch may have moved since; equal files have one key.
    (repository / "refs" / "main").write_text("c" * 40)
    found, named = (
        BaseConfig(model="owner/tiny-llama", task="chat", commit=commit),
        BaseConfig(model="owner/tiny-llama"),
    )
    context = tiny.FakeContext(tmp_path / "step")
    facts = Base(found).run({}, context)["base"]
    assert (facts["name"], facts["commit"]) == ("owner/tiny-llama", commit)
    keys = {
        step_key(StepSpec("base", "base", named.model_copy(update={"commit": one})), 0, {}) for one in (None, commit)
    }
    assert len(keys) == 1
    assert "commit" not in Base(BaseConfig(model=str(folder), task="chat")).run({}, context)["base"]
