"""Language models as folders: saved and opened again they answer the same, in PEFT and transformers as with us."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny

from tunesmith.core import digests
from tunesmith.core.errors import ModelError
from tunesmith.engines.generation import GenerationEngine
from tunesmith.models.adapters import add_lora
from tunesmith.models.causal import load_language
from tunesmith.models.language_folder import generation_settings, open_language, save_language, save_merged
from tunesmith.models.language_manifest import LanguageManifest, RowLength, TemplateReference
from tunesmith.models.manifest import BaseReference
from tunesmith.models.manifests import read_manifest
from tunesmith.models.templates.template import ChatTemplate, choose
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.selection.locate import Located
from tunesmith.selection.pin import inspect

IDS = torch.tensor([[7, 40, 99, 120, 33, 250]])


def base(folder: Path, family: str, seed: int = 0) -> Path:
    if family == "t5":
        tiny.write_seq2seq(folder / "files", seed=seed)
    else:
        tiny.write_decoder(folder / "files", family, seed=seed, initializer_range=0.3)  # type: ignore[arg-type]
    return folder


def described(files: Path, template: ChatTemplate, **changes: Any) -> LanguageManifest:
    facts = inspect(Located("owner/tiny", files), "chat")
    return LanguageManifest.model_validate(
        {
            "task": "chat",
            "network": facts["network"],
            "base": BaseReference(name="owner/tiny@main", digest="d" * 64, commit="c" * 40),
            "trainable": "lora",
            "template": TemplateReference(name=template.name, digest=template.digest),
            "tokenizer": facts["tokenizer"],
            "num_vocabulary": facts["num_vocabulary"],
            "length": RowLength(max_tokens=64, policy="drop"),
            **changes,
        }
    )


def adapted(files: Path) -> Any:
    """The base with adapters that change its answers."""
    torch.manual_seed(5)
    module = load_language(files)
    kind: Any = "SEQ_2_SEQ_LM" if module.config.is_encoder_decoder else "CAUSAL_LM"  # type: ignore[union-attr]
    made = add_lora(module, rank=4, alpha=8, dropout=0.0, rslora=False, targets=None, task_type=kind)
    for name, one in made.named_parameters():
        if ".lora_B" in name:
            torch.nn.init.normal_(one, std=0.2)
    return made.eval()


def saved(folder: Path, family: str, *, is_merged: bool) -> tuple[Path, torch.Tensor]:
    """A MODEL folder beside its base, and the logits of what was saved."""
    files = base(folder / "base", family) / "files"
    template = choose(files, Vocabulary.open(files), task="chat")
    module = adapted(files)
    with torch.inference_mode():
        logits = logits_of(module)
    save = save_merged if is_merged else save_language
    save(described(files, template), module, files, template, folder / "model", ends=(4,))
    return folder / "model", logits


def logits_of(module: Any) -> torch.Tensor:
    more = {"decoder_input_ids": IDS} if module.config.is_encoder_decoder else {}
    with torch.inference_mode():
        found: torch.Tensor = module(input_ids=IDS, **more).logits
    return found


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "t5"])
@pytest.mark.parametrize("is_merged", [False, True])
def test_saved_and_opened_again_it_answers_the_same(family: str, is_merged: bool, tmp_path: Path) -> None:
    """1e-5 of the logits' spread: adding an adapter into weights rounds otherwise than adding its output."""
    model, before = saved(tmp_path, family, is_merged=is_merged)
    assert (model / "weights").is_dir() == is_merged and (model / "adapter").is_dir() != is_merged
    manifest, module, vocabulary = open_language(model, None if is_merged else tmp_path / "base")
    assert manifest == read_manifest(model)
    assert vocabulary.digest == manifest.tokenizer
    untrained = logits_of(load_language(tmp_path / "base" / "files"))
    assert float((untrained - before).abs().max() / before.std()) > 0.01
    assert float((logits_of(module) - before).abs().max() / before.std()) < 1e-5
    assert not [path for path in model.rglob("*") if path.suffix in (".bin", ".pt")]


def test_an_adapter_is_pefts(tmp_path: Path) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    model, before = saved(tmp_path, "llama", is_merged=False)
    module = AutoModelForCausalLM.from_pretrained(tmp_path / "base" / "files", dtype=torch.float32)
    assert torch.equal(logits_of(peft.PeftModel.from_pretrained(module, model / "adapter").eval()), before)
    settings = json.loads((model / "adapter" / "adapter_config.json").read_text())
    assert (settings["task_type"], settings["base_model_name_or_path"]) == ("CAUSAL_LM", "owner/tiny")
    assert settings["revision"] == "c" * 40, "others load the adapter over the very files it was trained over"


def test_a_merged_folder_is_transformers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, _ = saved(tmp_path, "llama", is_merged=True)
    weights = model / "weights"
    assert {path.name for path in weights.iterdir()} == {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    module = AutoModelForCausalLM.from_pretrained(weights)
    assert torch.equal(logits_of(module), logits_of(open_language(model, None)[1]))
    assert module.generation_config.eos_token_id == [2, 4]
    engine = GenerationEngine.open(model, None)
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]
    told = AutoTokenizer.from_pretrained(weights).apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    from tunesmith.core.conversation import Conversation, Turn

    asked = Conversation((Turn("system", "be kind"), Turn("user", "hello")))
    assert engine.reader.prompt_ids([asked]) == [told]
    engine.close()
    card = (weights / "README.md").read_text()
    assert card.startswith("---\n") and 'base_model: "owner/tiny"' in card and "chat_template.jinja" in card
    assert str(tmp_path) not in "".join(path.read_text() for path in weights.glob("*.json"))


def test_the_same_model_leaves_the_same_bytes(tmp_path: Path) -> None:
    for is_merged in (False, True):
        first, second = tmp_path / f"a{is_merged}", tmp_path / f"b{is_merged}"
        one, two = (saved(folder, "llama", is_merged=is_merged)[0] for folder in (first, second))
        assert digests.of_folder(one) == digests.of_folder(two)


def test_settings_that_transformers_would_not_save_are_kept(tmp_path: Path) -> None:
    """Some published models forbid sampling and name a temperature: transformers refuses to write that again."""
    files = base(tmp_path / "base", "llama") / "files"
    path = files / "generation_config.json"
    path.write_text(json.dumps({"do_sample": False, "temperature": 0.6, "top_p": 0.9, "eos_token_id": 2}))
    template = choose(files, Vocabulary.open(files), task="chat")
    save_merged(described(files, template), adapted(files), files, template, tmp_path / "model")
    told = json.loads((tmp_path / "model" / "weights" / "generation_config.json").read_text())
    assert told == {"do_sample": False, "temperature": 0.6, "top_p": 0.9, "eos_token_id": 2}


def test_an_adapter_over_another_base_is_refused(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, "llama", is_merged=False)
    base(tmp_path / "other", "llama", seed=1)
    with pytest.raises(ModelError, match="over another base") as caught:
        open_language(model, tmp_path / "other")
    assert caught.value.next
    with pytest.raises(ModelError, match="needs its base"):
        open_language(model, None)


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, "llama", is_merged=True)
    path = model / "weights" / "tokenizer.json"
    settings = json.loads(path.read_text())
    settings["model"]["merges"] = settings["model"]["merges"][:-1]
    path.write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="not the one this model was trained with"):
        open_language(model, None)


def test_another_template_is_refused(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, "llama", is_merged=True)
    template = model / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    with pytest.raises(ModelError, match="chat template is not the one"):
        GenerationEngine.open(model, None)
    template.unlink()
    with pytest.raises(ModelError, match="chat template is not the one"):
        GenerationEngine.open(model, None)


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, "llama", is_merged=True)
    path = model / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_vocabulary": 301}))
    with pytest.raises(ModelError, match="another vocabulary"):
        open_language(model, None)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_adapter_is_named(name: str, damage: str, tmp_path: Path) -> None:
    model, _ = saved(tmp_path, "llama", is_merged=False)
    path = model / "adapter" / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="adapter"):
        open_language(model, tmp_path / "base")


def test_manifests_are_told_by_their_task(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, "llama", is_merged=False)
    assert isinstance(read_manifest(model), LanguageManifest)
    (model / "model.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        read_manifest(model)
    with pytest.raises(ModelError, match="no tunesmith model"):
        read_manifest(tmp_path)
    shutil.rmtree(model)


def test_settings_that_older_folders_keep_in_their_config_are_written_out(tmp_path: Path) -> None:
    """transformers reads them there only while there is no generation_config.json, and one is written with a model."""
    tiny.write_seq2seq(tmp_path, family="bart")
    (tmp_path / "generation_config.json").unlink()
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"forced_bos_token_id": 40, "no_repeat_ngram_size": 3}))
    told = generation_settings(tmp_path, ends=[4])
    assert (told["forced_bos_token_id"], told["no_repeat_ngram_size"], told["eos_token_id"]) == (40, 3, [2, 4])
    assert "d_model" not in told and "transformers_version" not in told
