"""The base stage: what a plan is told of a model, and every folder that cannot be used is refused with a way out."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file
from tests import tiny

from tunesmith.core import digests
from tunesmith.core.errors import ModelError, RecipeError, TunesmithError
from tunesmith.selection.config import BaseConfig
from tunesmith.selection.locate import locate
from tunesmith.selection.pin import Base
from tunesmith.selection.weights import read_header


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny BERT that a test may damage."""
    return shutil.copytree(tiny.encoder("bert"), tmp_path / "bert")


def pin(model: Path | str, tmp_path: Path) -> tuple[dict[str, Any], Path]:
    context = tiny.FakeContext(tmp_path / "step")
    return dict(Base(BaseConfig(model=str(model))).run({}, context)["base"]), context.out / "base"


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_facts_and_files(family: tiny.Family, tmp_path: Path) -> None:
    facts, out = pin(tiny.encoder(family), tmp_path)
    assert json.loads((out / "base.json").read_text()) == facts
    assert facts["files"] == digests.of_folder(out / "files")
    assert set(facts["files"]) == {"config.json", "model.safetensors", "tokenizer.json"}
    weights = load_file(tiny.encoder(family) / "model.safetensors")
    assert facts["num_parameters"] == sum(one.size for one in weights.values())
    known = {name: facts[name] for name in ("model_type", "hidden", "num_layers", "max_tokens", "pooling", "dtype")}
    assert known == {
        "model_type": family,
        "hidden": tiny.HIDDEN,
        "num_layers": 2,
        "max_tokens": tiny.MAX_TOKENS,  # RoBERTa's first two positions are never a token's
        "pooling": "mean",
        "dtype": "F32",
    }


def test_sentence_transformers_settings_are_read(folder: Path, tmp_path: Path) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (folder / "modules.json").write_text('[{"type": "sentence_transformers.models.Normalize"}]')
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    facts, _ = pin(folder, tmp_path)
    assert (facts["pooling"], facts["is_normalized"], facts["max_tokens"]) == ("cls", True, 16)


def test_the_fingerprint_follows_the_bytes_that_are_used(folder: Path) -> None:
    before = locate(str(folder)).fingerprint()
    (folder / "README.md").write_text("not used")
    (folder / "training_args.bin").write_bytes(b"not used either")
    assert locate(str(folder)).fingerprint() == before
    edit(folder / "config.json", hidden_act="relu")
    assert locate(str(folder)).fingerprint() != before


def test_pickles_and_code_stay_behind(folder: Path, tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "modeling.py", "optimizer.pt"):
        (folder / name).write_bytes(b"x")
    facts, out = pin(folder, tmp_path)
    assert {path.suffix for path in (out / "files").iterdir()} == {".json", ".safetensors"}
    assert "pytorch_model.bin" not in facts["files"]


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lengthen(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as stream:
        stream.write(b"more")


def garble(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:8] + b"\x00" * 40 + data[48:])


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def without_shard(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_file(weights, folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


DAMAGES = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "config is no JSON": (lambda folder: (folder / "config.json").write_bytes(b"\xff{"), "no JSON"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no weight file"),
    "only a pickle": (only_pickle, "can run code"),
    "cut short": (truncate, "cut short"),
    "longer than it says": (lengthen, "longer than its header says"),
    "header damaged": (garble, "header is damaged"),
    "empty weights": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "no safetensors file"),
    "a shard is missing": (without_shard, "model-00002-of-00002"),
    "own code": (lambda folder: edit(folder / "config.json", auto_map={"AutoModel": "m.M"}), "never runs"),
    "encoder-decoder": (lambda folder: edit(folder / "config.json", is_encoder_decoder=True), "both in one"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer.json"),
    "no sizes": (lambda folder: (folder / "config.json").write_text("[]"), "no hidden size"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_folder_that_cannot_be_used_is_refused(damage: str, folder: Path, tmp_path: Path) -> None:
    do, words = DAMAGES[damage]
    do(folder)
    with pytest.raises(ModelError, match=words) as caught:
        pin(folder, tmp_path)
    assert caught.value.exit_code == 1
    assert caught.value.seen is not None
    assert not (tmp_path / "step" / "out" / "base").exists(), "nothing is half written"


@pytest.mark.parametrize(
    "header",
    [b"[]", b'{"a": 1}', b'{"a": {"shape": [1], "dtype": "F32"}}', b'{"a": {"data_offsets": ["x", "y"]}}', b"nonsense"],
)
def test_a_header_of_another_form_is_damage(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelError, match="damaged"):
        read_header(path)


def test_a_header_that_promises_terabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(ModelError, match="cut short"):
        read_header(path)


def test_a_file_instead_of_a_folder(folder: Path) -> None:
    with pytest.raises(RecipeError, match="is a file") as caught:
        locate(str(folder / "config.json"))
    assert str(folder) in str(caught.value.next)


def test_an_unknown_name_gets_the_nearest_folder(folder: Path) -> None:
    with pytest.raises(RecipeError, match="no such model") as caught:
        locate(str(folder.parent / "bret"))
    assert str(folder) in str(caught.value.next)
    with pytest.raises(RecipeError, match="no such model") as caught:
        locate("embeded")
    assert "embedded" in str(caught.value.allowed)


HUB = """
import json, sys
from tunesmith.core.errors import TunesmithError
from tunesmith.selection.locate import locate
try:
    print(json.dumps({"files": sorted(locate(sys.argv[1]).files())}))
except TunesmithError as error:
    print(json.dumps(error.to_dict()))
"""


def hub(name: str, home: Path) -> dict[str, Any]:
    """What a Hub id stands for without a network; in its own process, for the Hub's settings are read once."""
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", HUB, name], env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_hub_id_is_found_in_the_local_cache(folder: Path, tmp_path: Path) -> None:
    commit = "a" * 40
    repository = tmp_path / "home" / "hub" / "models--owner--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)
    expected = {"files": ["config.json", "model.safetensors", "tokenizer.json"]}
    assert hub("owner/tiny", tmp_path / "home") == expected
    assert hub(f"owner/tiny@{commit}", tmp_path / "home") == expected

    error = hub("owner/absent", tmp_path / "home")
    assert error["error"] == "ModelError"
    assert "local cache" in error["what"] and "HF_HUB_OFFLINE" in error["seen"] and "hf download" in error["next"]


def test_the_errors_are_ones_the_command_line_knows() -> None:
    assert issubclass(ModelError, TunesmithError) and issubclass(RecipeError, TunesmithError)
