"""An export answers as its source, or there is none: opened by transformers and PEFT alone, compared token by token."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests import tiny

from tunesmith import api
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.errors import ModelError, RecipeError
from tunesmith.engines import exported
from tunesmith.lifecycle.export import export
from tunesmith.lifecycle.language_model import LanguageModel
from tunesmith.lifecycle.model import open_head, open_model
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.models.adapters import add_lora
from tunesmith.models.causal import load_language
from tunesmith.models.dtypes import Dtype, cast, weights_dtype
from tunesmith.models.language_folder import save_language, save_merged
from tunesmith.models.language_manifest import LanguageManifest
from tunesmith.models.templates.template import choose
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.selection.config import BaseConfig
from tunesmith.selection.pin import Base
from tunesmith.store.artifacts import ArtifactStore

torch.set_num_threads(1)


def keep(session: Session, name: str, folder: Path, facts: dict[str, Any]) -> Artifact:
    """What a step left, in the session's store."""
    store, made_by = ArtifactStore(session.workspace, session.ledger), MadeBy(name, name, 0)
    return store.save_step(name, f"content-{name}", name, folder, {name: (name, facts)}, made_by, ())[name]


def trained(
    session: Session, folder: Path, family: str, *, is_merged: bool, dtype: Dtype = "float32", scale: float = 1.0
) -> str:
    """A tiny language model with adapters that change its answers, kept and named as a run would.

    ``dtype`` is that of the base's weights, of which the token embeddings are made ``scale`` times larger.
    """
    source = folder / "source"
    if family == "t5":
        tiny.write_seq2seq(source, initializer_factor=1.5)
    else:
        tiny.write_decoder(source, family, initializer_range=0.2)  # type: ignore[arg-type]
    if dtype != "float32" or scale != 1.0:
        whole: Any = load_language(source)
        whole.get_input_embeddings().weight.data *= scale
        cast(whole, dtype)
        whole.save_pretrained(source)
    context = tiny.FakeContext(folder / "base")
    facts = dict(Base(BaseConfig(model=str(source), task="chat")).run({}, context)["base"])
    base = keep(session, "base", context.out, facts)
    torch.manual_seed(0)
    kind: Any = "SEQ_2_SEQ_LM" if family == "t5" else "CAUSAL_LM"
    module = load_language(base.path / "files")
    adapted = add_lora(module, rank=4, alpha=8, dropout=0.0, rslora=False, targets=None, task_type=kind)
    for parameter_name, one in adapted.named_parameters():
        if ".lora_B" in parameter_name:
            torch.nn.init.normal_(one, std=0.1)
    files = base.path / "files"
    template = choose(files, Vocabulary.open(files), task="chat")
    manifest = LanguageManifest.model_validate(
        {
            "task": "chat",
            "network": facts["network"],
            "base": {"name": "owner/tiny", "digest": base.digest},
            "trainable": "lora",
            "template": {"name": template.name, "digest": template.digest},
            "tokenizer": facts["tokenizer"],
            "num_vocabulary": facts["num_vocabulary"],
            "length": {"max_tokens": 64, "policy": "drop"},
        }
    )
    save = save_merged if is_merged else save_language
    out = folder / "train" / "model"
    manifest = save(manifest, adapted.eval(), files, template, out)
    model = keep(session, "model", out.parent, manifest.model_dump(mode="json"))
    session.ledger.start_run("r1", "tiny", "chat", "ab" * 32)
    session.ledger.end_run("r1", "done", verdict="better", model_digest=model.digest)
    session.ledger.register_version("tiny", model.digest, "r1", "better")
    return "tiny@1"


def with_rows(session: Session, folder: Path) -> None:
    """Test rows of the model's run: the last answer of each is left out, and one has a tool."""
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    tools = ({"type": "function", "function": {"name": "look", "parameters": {}}},)
    rows = [
        Conversation((Turn("system", "be kind"), Turn("user", "why is my card blocked"), Turn("assistant", "no"))),
        Conversation((Turn("user", "hello"), Turn("assistant", "hi"), Turn("user", "more"), Turn("assistant", "no"))),
        Conversation(
            (
                Turn("user", "look"),
                Turn("assistant", "", tool_calls=(call,)),
                Turn("tool", "a"),
                Turn("assistant", "b"),
            ),
            tools,
        ),
    ]
    out = folder / "prepare" / "splits"
    out.mkdir(parents=True)
    table = {"messages": [one.messages_json() for one in rows], "tools": [one.tools_json() for one in rows]}
    pl.DataFrame(table).write_parquet(out / "test.parquet")
    keep(session, "splits", out.parent, {})
    session.ledger.set_run_step("r1", 0, "prepare", "splits", "done")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with open_session(tmp_path / "home") as opened:
        yield opened


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "t5"])
@pytest.mark.parametrize("is_merged", [False, True])
def test_merged_exports_answer_as_their_source(family: str, is_merged: bool, session: Session, tmp_path: Path) -> None:
    reference = trained(session, tmp_path, family, is_merged=is_merged)
    told = export(session, reference, tmp_path / "out")
    assert told.difference < 5e-5 and told.num_prompts == 4 and told.num_tokens > 30
    assert told.prompts == "prompts of our own"
    expected = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert set(told.files) == expected | {"README.md", "chat_template.jinja"}
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".tunesmith")], "nothing is left beside it"


@pytest.mark.parametrize(
    ("family", "is_merged", "dtype"),
    [("llama", False, "bfloat16"), ("gpt2", True, "float16"), ("t5", False, "float16"), ("qwen2", False, "float16")],
)
def test_smaller_types_are_held_against_the_source_in_that_type(
    family: str, is_merged: bool, dtype: Dtype, session: Session, tmp_path: Path
) -> None:
    reference = trained(session, tmp_path, family, is_merged=is_merged)
    told = export(session, reference, tmp_path / "out", dtype=dtype)
    assert told.dtype == dtype == weights_dtype(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == dtype
    assert told.difference < 5e-5, "rounded alike, equal but for the rounding of a merge"
    # Half a unit of bfloat16 is 2^-9 of a number, of float16 2^-12; the worst of some ten thousand logits, layers on.
    assert told.rounding is not None and 1e-5 < told.rounding < (0.2 if dtype == "bfloat16" else 0.05)
    assert 0.8 * told.num_tokens < told.num_same <= told.num_tokens
    assert f"- Weights: {dtype}, rounded from float32" in (tmp_path / "out" / "README.md").read_text()
    if not is_merged:
        exact = export(session, reference, tmp_path / "whole", dtype="float32")
        assert (exact.dtype, exact.rounding, exact.num_same) == ("float32", None, exact.num_tokens)
        assert exact.files["model.safetensors"] > 1.8 * told.files["model.safetensors"]


def test_an_export_is_in_the_type_of_its_base(session: Session, tmp_path: Path) -> None:
    reference = trained(session, tmp_path, "llama", is_merged=True, dtype="bfloat16")
    told = export(session, reference, tmp_path / "out")
    assert told.dtype == "bfloat16" == weights_dtype(tmp_path / "out") and told.notes == []
    [model] = [one.path for one in ArtifactStore(session.workspace, session.ledger).find("model").values()]  # type: ignore[union-attr]
    assert weights_dtype(model / "weights") == "float32", "the model itself is kept as it was trained"


def test_weights_that_a_type_cannot_hold_are_refused(session: Session, tmp_path: Path) -> None:
    reference = trained(session, tmp_path, "llama", is_merged=False, scale=1e6)
    with pytest.raises(ModelError, match="larger than float16 can hold") as caught:
        export(session, reference, tmp_path / "out", dtype="float16")
    assert "embed_tokens" in str(caught.value.seen) and "bfloat16" in str(caught.value.next)
    assert not (tmp_path / "out").exists()
    assert export(session, reference, tmp_path / "out", dtype="bfloat16").dtype == "bfloat16"


def test_an_adapter_has_the_type_it_was_trained_in(session: Session, tmp_path: Path) -> None:
    reference = trained(session, tmp_path, "llama", is_merged=False, dtype="bfloat16")
    assert export(session, reference, tmp_path / "out", "adapter").dtype == "float32"
    with pytest.raises(RecipeError, match="as it was trained") as caught:
        export(session, reference, tmp_path / "other", "adapter", "float16")
    assert caught.value.seen == "--dtype float16"


def test_an_adapter_is_exported_with_its_template(session: Session, tmp_path: Path) -> None:
    reference = trained(session, tmp_path, "llama", is_merged=False)
    with_rows(session, tmp_path)
    told = export(session, reference, tmp_path / "out", "adapter")
    assert (told.prompts, told.num_prompts) == ("test rows of its run", 3)
    assert {"adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "tokenizer.json"} < set(
        told.files
    )
    assert (
        (tmp_path / "out" / "README.md").read_text().startswith('---\nbase_model: "owner/tiny"\nlibrary_name: "peft"')
    )


def test_a_merged_model_has_no_adapter_to_export(session: Session, tmp_path: Path) -> None:
    reference = trained(session, tmp_path, "llama", is_merged=True)
    with pytest.raises(RecipeError, match="has no adapter") as caught:
        export(session, reference, tmp_path / "out", "adapter")
    assert caught.value.exit_code == 2 and not (tmp_path / "out").exists()


def weight(out: Path) -> None:
    """One weight of the export is another: a bfloat16 rounding away."""
    weights = load_file(out / "model.safetensors")
    name = next(name for name in weights if "down_proj" in name)
    weights[name] = weights[name].bfloat16().float()
    save_file(weights, out / "model.safetensors", {"format": "pt"})


def small_weight(out: Path) -> None:
    """One weight of an export in bfloat16 is another: its last bit."""
    weights = load_file(out / "model.safetensors")
    name = next(name for name in weights if "down_proj" in name)
    assert weights[name].dtype == torch.bfloat16
    weights[name] = (weights[name].view(torch.int16) ^ 1).view(torch.bfloat16)
    save_file(weights, out / "model.safetensors", {"format": "pt"})


def template(out: Path) -> None:
    path = out / "chat_template.jinja"
    path.write_text(path.read_text().replace("assistant\\n", "assistant:\\n"))


def tokenizer(out: Path) -> None:
    path = out / "tokenizer.json"
    settings = json.loads(path.read_text())
    settings["model"]["merges"] = []
    path.write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("damage", "words", "dtype"),
    [
        (weight, "logits differ", "float32"),
        (small_weight, "logits differ", "bfloat16"),
        (template, "reads it otherwise", "bfloat16"),
        (tokenizer, "reads it otherwise", "float32"),
    ],
)
def test_an_export_that_differs_is_not_kept(
    damage: Any, words: str, dtype: Dtype, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = trained(session, tmp_path, "llama", is_merged=False)
    write = exported.write_export

    def damaged(model: Path, base: Path | None, out: Path, *more: Any) -> None:
        write(model, base, out, *more)
        damage(out)

    monkeypatch.setattr(exported, "write_export", damaged)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ModelError, match="does not answer as its source") as caught:
        export(session, reference, tmp_path / "out", dtype=dtype)
    assert words in str(caught.value.seen) and caught.value.exit_code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing is left of it"


def test_a_folder_with_content_is_never_replaced(session: Session, tmp_path: Path) -> None:
    reference = trained(session, tmp_path, "llama", is_merged=False)
    out = tmp_path / "out"
    out.mkdir()
    assert export(session, reference, out).num_prompts == 4, "an empty folder is taken"
    with pytest.raises(RecipeError, match="there already"):
        export(session, reference, out)
    with pytest.raises(RecipeError, match="does not exist"):
        export(session, reference, tmp_path / "no" / "out")


def test_a_language_model_is_no_head(session: Session, tmp_path: Path) -> None:
    reference = trained(session, tmp_path, "llama", is_merged=False)
    model = open_model(session, reference)
    assert isinstance(model, LanguageModel)
    [answer] = model.generate(["hello"], max_new_tokens=5)
    assert answer.num_tokens <= 5
    model.close()
    with pytest.raises(RecipeError, match="writes text") as caught:
        open_head(session, reference)
    assert "tunesmith chat tiny@1" in str(caught.value.next)


def test_loading_by_the_api_generates_and_streams(tmp_path: Path) -> None:
    with open_session(tmp_path / "home") as session:
        reference = trained(session, tmp_path, "llama", is_merged=False)
    model = api.load(reference, home=tmp_path / "home")
    assert isinstance(model, api.LanguageModel)
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "why"}]
    [one, two] = model.generate(["why", messages], max_new_tokens=12)
    assert "".join(model.stream(messages, api.GenerationOptions(12))) == two.text
    sampled = [model.generate(["why", messages], max_new_tokens=12, temperature=1.0, seed=7) for _ in range(2)]
    assert sampled[0] == sampled[1] != [one, two]
    model.close()
    shutil.rmtree(tmp_path / "home")
