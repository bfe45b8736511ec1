"""The base stage: checks a pre-trained model before anything is spent on it, and pins its files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tunesmith.core import digests
from tunesmith.core.errors import ModelError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.selection.config import BaseConfig
from tunesmith.selection.locate import Located, locate
from tunesmith.selection.weights import Weights, read_header

POSITIONS_BEFORE_FIRST = {"roberta": 2, "xlm-roberta": 2, "camembert": 2, "mpnet": 2}
"""Position embeddings that these families never use for text: padding index + 1."""


class Base:
    """Pins an encoder: `files/` and what a plan needs to know of it."""

    makes: ClassVar[Mapping[str, str]] = {"base": "base"}

    def __init__(self, config: BaseConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the base model; its files are copied, so that nothing outside can change a trained model."""
        located = locate(self.config.model)
        facts = inspect(located)
        target = context.out / "base" / "files"
        for name, path in located.files().items():
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        facts["files"] = digests.of_folder(target)
        text = json.dumps(facts, indent=1, sort_keys=True)
        (context.out / "base" / "base.json").write_text(text + "\n", encoding="utf-8")
        return {"base": facts}


def inspect(located: Located) -> dict[str, Any]:
    """What a plan needs to know of a model, from its small files and weight headers alone.

    Raises: ModelError where the folder is not an encoder that can be opened safely.
    """
    config = _json(located.folder / "config.json", "this folder holds no model: there is no config.json")
    if config.get("auto_map"):
        raise ModelError(
            "this model brings its own code, and tunesmith never runs a model's code",
            seen=f"auto_map in {located.folder.name}/config.json",
            next="choose a model of an architecture that transformers itself has",
        )
    architecture = " ".join(config.get("architectures") or [])
    if config.get("is_encoder_decoder") or config.get("is_decoder") or "CausalLM" in architecture:
        raise ModelError(
            "this version fine-tunes encoders, and this model generates text",
            seen=architecture or config.get("model_type"),
            allowed="encoders such as BERT, RoBERTa, DistilBERT, MPNet, ELECTRA, DeBERTa",
            next="write `model: embedded`, or name an encoder",
        )
    weights = _weights(located.folder)
    hidden = config.get("hidden_size", config.get("dim"))
    num_layers = config.get("num_hidden_layers", config.get("n_layers"))
    if not hidden or not num_layers:
        raise ModelError(
            "config.json names no hidden size or no number of layers",
            seen=config.get("model_type", "no model_type"),
            next="name the folder of an encoder, or write `model: embedded`",
        )
    if not (located.folder / "tokenizer.json").is_file():
        raise ModelError(
            "the model has no tokenizer.json",
            seen=", ".join(sorted(path.name for path in located.folder.iterdir())),
            next='python -c "from transformers import AutoTokenizer as T; '
            "T.from_pretrained('FOLDER').save_pretrained('FOLDER')\"",
        )
    return {
        "name": located.name,
        "model_type": config.get("model_type", "unknown"),
        "num_parameters": sum(one.num_parameters for one in weights),
        "hidden": hidden,
        "num_layers": num_layers,
        "vocabulary": config.get("vocab_size", 0),
        "max_tokens": _max_tokens(located.folder, config),
        "pooling": _pooling(located.folder),
        "is_normalized": any("Normalize" in str(one.get("type")) for one in _list(located.folder / "modules.json")),
        "dtype": ", ".join(sorted(set().union(*(one.dtypes for one in weights)))),
    }


def _weights(folder: Path) -> list[Weights]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickles = [path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]
        raise ModelError(
            "the model folder has no weights in safetensors form",
            seen=f"only {', '.join(pickles)}, which can run code when opened" if pickles else "no weight file",
            next="convert it once where you trust it: AutoModel.from_pretrained(...).save_pretrained(FOLDER)",
        )
    for index in folder.glob("*.safetensors.index.json"):
        shards = set(dict(_json(index).get("weight_map") or {}).values())
        missing = sorted(shards - {path.name for path in files})
        if missing:
            raise ModelError(
                "weight files that the model's index names are missing",
                seen=f"{index.name}: {', '.join(missing)}",
                next="copy or download the model again",
            )
    return [read_header(path) for path in files]


def _max_tokens(folder: Path, config: dict[str, Any]) -> int:
    model_type = config.get("model_type", "")
    limits = [config.get("max_position_embeddings", 512) - POSITIONS_BEFORE_FIRST.get(model_type, 0)]
    for name, key in (("tokenizer_config.json", "model_max_length"), ("sentence_bert_config.json", "max_seq_length")):
        value = (_json(folder / name) if (folder / name).is_file() else {}).get(key)
        if isinstance(value, int) and 0 < value < 10**9:
            limits.append(value)
    return int(min(limits))


def _pooling(folder: Path) -> str:
    """How sentence-transformers pools it; a plain encoder is pooled by the mean."""
    path = folder / "1_Pooling" / "config.json"
    return "cls" if path.is_file() and _json(path).get("pooling_mode_cls_token") else "mean"


def _json(path: Path, missing: str = "a file of the model is missing") -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(missing, seen=path.parent.name, next="name a Hugging Face model folder under `model`")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path.name} of the model is no JSON", seen=str(error)) from error
    return value if isinstance(value, dict) else {}


def _list(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return []
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
