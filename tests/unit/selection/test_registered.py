"""A registered model as a base: its weights are those that it answers with, adapters added in, to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import ModelError, RecipeError
from tunesmith.models.adapters import add_lora
from tunesmith.models.causal import load_language
from tunesmith.models.encoder import hidden_states, load_encoder
from tunesmith.models.folder import open_model
from tunesmith.models.language_folder import open_language, save_language
from tunesmith.models.language_manifest import LanguageManifest, RowLength, TemplateReference
from tunesmith.models.manifest import BaseReference
from tunesmith.models.templates.template import choose
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.numerics.padding import pad
from tunesmith.selection.config import RegisteredConfig
from tunesmith.selection.locate import Located
from tunesmith.selection.pin import inspect
from tunesmith.selection.registered import Registered, check_family, is_reference
from tunesmith.training.features import Features

TEXTS = tiny.sentences(4)[0]


def registered(parent: Artifact, base: Artifact | None, folder: Path, task: Any = "classify") -> tuple[Any, Path]:
    """The facts of the base that a registered model becomes, and its folder."""
    context = tiny.FakeContext(folder)
    given = {"parent": parent} | ({} if base is None else {"base": base})
    facts = Registered(RegisteredConfig(model="desk@3", task=task)).run(given, context)["base"]
    assert json.loads((context.out / "base" / "base.json").read_text()) == facts
    assert not list(context.scratch.iterdir())
    return facts, context.out / "base"


def trained(folder: Path, base: Artifact, trainable: Any) -> Artifact:
    config = tiny.train_config(epochs=1, trainable=trainable)
    reads = {"base": base, "splits": tiny.labelled(folder / "splits")}
    if trainable == "head":
        context = tiny.FakeContext(folder / "features")
        facts = Features(config.features()).run(reads, context)["activations"]
        reads["activations"] = tiny.artifact("activations", "activations", context.out / "activations", facts)
    made = tiny.train(config, reads, tiny.FakeContext(folder / "train"))
    return tiny.artifact("model", "model", made.path, made.facts)


@pytest.mark.parametrize("which", ["bert", "gpt2"])
@pytest.mark.parametrize("trainable", ["head", "lora", "full", {"kind": "lora", "merge": True}])
def test_a_head_models_encoder(which: Any, trainable: Any, tmp_path: Path) -> None:
    base = tiny.base("bert", tiny.encoder("bert") if which == "bert" else tiny.decoder(which))
    parent = trained(tmp_path, base, trainable)
    keeps_less = not (parent.path / "encoder").is_dir()
    facts, folder = registered(parent, base if keeps_less else None, tmp_path / "step")
    assert facts["parent"] == {
        "model": "desk@3",
        "digest": parent.digest,
        "task": "classify",
        "trainable": trainable if isinstance(trainable, str) else "lora",
        "is_merged": trainable == "lora",
        "base": parent.facts["base"],
    }
    assert (facts["name"], facts["pooling"]) == ("desk@3", "mean" if which == "bert" else "last")
    assert facts["network"] == base.facts["network"] and facts["max_tokens"] == base.facts["max_tokens"]
    _, network, tokenizer = open_model(parent.path, base.path)
    tokens_BT, mask_BT = pad([one.ids for one in tokenizer.encode(TEXTS)])
    with torch.inference_mode():
        before = hidden_states(network.encoder, tokens_BT, mask_BT)
        after = hidden_states(load_encoder(folder / "files"), tokens_BT, mask_BT)
    assert torch.equal(before, after)
    assert str(tmp_path) not in "".join(path.read_text() for path in (folder / "files").glob("*.json"))
    again = trained(tmp_path / "again", tiny.artifact("next", "base", folder, facts), "full")
    assert again.facts["base"]["name"] == "desk@3", "and the next model is trained from there"


def written(folder: Path, base: Artifact, *, is_adapter: bool) -> Artifact:
    """A language model over a base, whose adapter changes its answers."""
    torch.manual_seed(5)
    files = base.path / "files"
    vocabulary = Vocabulary.open(files)
    template = choose(files, vocabulary, choice="chatml")
    module: Any = load_language(files)
    kind: Any = "SEQ_2_SEQ_LM" if module.config.is_encoder_decoder else "CAUSAL_LM"
    module = add_lora(module, rank=4, alpha=8, dropout=0.0, rslora=True, targets=None, task_type=kind, dora=True)
    for name, one in module.named_parameters():
        if ".lora_B" in name:
            torch.nn.init.normal_(one, std=0.2)
    manifest = LanguageManifest(
        task="chat",
        network=base.facts["network"],
        base=BaseReference(name="tiny", digest=base.digest),
        trainable="lora",
        template=TemplateReference(name=template.name, digest=template.digest),
        tokenizer=vocabulary.digest,
        num_vocabulary=base.facts["num_vocabulary"],
        length=RowLength(max_tokens=64, policy="drop"),
    )
    module = module if is_adapter else module.merge_and_unload()
    manifest = save_language(manifest, module, files, template, folder, ends=(4,))
    return tiny.artifact("model", "model", folder, manifest.model_dump(mode="json"))


def language_base(folder: Path, family: str) -> Artifact:
    if family == "t5":
        tiny.write_seq2seq(folder / "files")
    else:
        tiny.write_decoder(folder / "files", family)  # type: ignore[arg-type]
    return tiny.artifact("base", "base", folder, inspect(Located(family, folder / "files"), "chat"))


@pytest.mark.parametrize("is_adapter", [True, False])
@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "t5"])
def test_a_language_model_goes_on_from_what_it_answers_with(family: str, is_adapter: bool, tmp_path: Path) -> None:
    """Untied, tied, turned matrices, and two parts; DoRA and rsLoRA are added in as PEFT does."""
    base = language_base(tmp_path / "base", family)
    parent = written(tmp_path / "model", base, is_adapter=is_adapter)
    facts, folder = registered(parent, base if is_adapter else None, tmp_path / "step", "chat")
    _, module, _ = open_language(parent.path, base.path)
    expected, found = module.state_dict(), load_language(folder / "files").state_dict()
    assert expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)
    assert any(
        not torch.equal(one, found[name]) for name, one in load_language(base.path / "files").state_dict().items()
    )
    known = ("tokenizer", "num_vocabulary", "is_tied", "network", "max_positions", "num_layers")
    assert {name: facts[name] for name in known} == {name: base.facts[name] for name in known}
    assert facts["has_template"] is True and facts["parent"]["is_merged"] is is_adapter
    files = folder / "files"
    assert choose(files, Vocabulary.open(files)).text == choose(files, Vocabulary.open(files), choice="chatml").text
    settings = json.loads((files / "generation_config.json").read_text())
    if family != "t5":  # read without a template, whose end it would be
        assert 4 in settings["eos_token_id"], "what ended its answers still does"


def test_a_head_can_stand_on_a_model_that_writes(tmp_path: Path) -> None:
    base = language_base(tmp_path / "base", "llama")
    parent = written(tmp_path / "model", base, is_adapter=True)
    facts, folder = registered(parent, base, tmp_path / "step", "classify")
    assert (facts["network"], facts["pooling"]) == ("decoder", "last")
    _, module, _ = open_language(parent.path, base.path)
    ids = torch.tensor([[7, 40, 99]])
    with torch.inference_mode():
        body: Any = module.base_model
        expected = body(input_ids=ids).last_hidden_state
        found = hidden_states(load_encoder(folder / "files"), ids, torch.ones_like(ids))
    assert torch.allclose(found, expected, atol=1e-6)


def test_what_cannot_be_a_base_is_refused_with_a_way_out(tmp_path: Path) -> None:
    base = tiny.base()
    head = tiny.artifact("model", "model", tmp_path, {"task": "classify", "base": {"name": "bert-of-ours"}})
    with pytest.raises(RecipeError, match="no output layer") as caught:
        check_family("chat", head.facts, "desk@3")
    assert "bert-of-ours" in str(caught.value.next) and "desk@3" in str(caught.value.seen)
    two = language_base(tmp_path / "t5", "t5")
    parent = written(tmp_path / "model", two, is_adapter=False)
    with pytest.raises(RecipeError, match="both in one"):
        registered(parent, None, tmp_path / "step")
    lora = trained(tmp_path / "lora", base, "lora")
    with pytest.raises(ModelError, match="needs its base model"):
        registered(lora, None, tmp_path / "step")
    with pytest.raises(ModelError, match="another base"):
        registered(lora, tiny.base("roberta"), tmp_path / "step")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("desk@production", True),
        ("desk@3", True),
        ("run:desk-1121-1801-af00", True),
        ("embedded", False),
        ("owner/name", False),
        ("owner/name@main", False),
        ("./desk@3", False),
        ("/models/desk@3", False),
        ("desk", False),
        ("run:", False),
        ("desk@", False),
    ],
)
def test_what_is_a_reference(name: str, expected: bool) -> None:
    assert is_reference(name) is expected
