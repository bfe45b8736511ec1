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
from tunesmith.core.tasks import Task, is_language
from tunesmith.models.networks import HIDDEN, LAYERS, first_of, is_tied, network_of, positions_of, text_part
from tunesmith.selection.config import BaseConfig
from tunesmith.selection.locate import Located, locate, shards_of
from tunesmith.selection.weights import Weights, read_header

POSITIONS_BEFORE_FIRST = {"roberta": 2, "xlm-roberta": 2, "camembert": 2, "mpnet": 2}
"""Position embeddings that these families never use for text: padding index + 1."""


class Base:
    """Pins a pre-trained model: `files/` and what a plan needs to know of it."""

    makes: ClassVar[Mapping[str, str]] = {"base": "base"}

    def __init__(self, config: BaseConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the base model; its files are copied, so that nothing outside can change a trained model."""
        located = locate(self.config.model, self.config.commit)
        facts = inspect(located, self.config.task)
        if located.commit is not None:
            facts["commit"] = located.commit
        facts["files"] = pin_files(located, context.out / "base" / "files")
        text = json.dumps(facts, indent=1, sort_keys=True)
        (context.out / "base" / "base.json").write_text(text + "\n", encoding="utf-8")
        return {"base": facts}


def pin_files(located: Located, target: Path) -> dict[str, str]:
    """Copy the files that a model is made of, and return their digests by name."""
    for name, path in located.files().items():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return digests.of_folder(target)


def inspect(located: Located, task: Task = "classify") -> dict[str, Any]:
    """What a plan needs to know of a model, from its small files and weight headers alone.

    Raises: ModelError where the folder is not a model that can be opened safely, or not one for the task.
    """
    _refuse_adapter(located.folder)
    config = text_part(_json(located.folder / "config.json", "this folder holds no model: there is no config.json"))
    if config.get("auto_map"):
        raise ModelError(
            "this model brings its own code, and tunesmith never runs a model's code",
            seen=f"auto_map in {located.folder.name}/config.json",
            next="choose a model of an architecture that transformers itself has",
        )
    network = network_of(config)
    if network == "encoder_decoder" and not is_language(task):
        raise ModelError(
            f"`{task}` puts a head on an encoder or a decoder, and this model is both in one",
            seen=" ".join(config.get("architectures") or []) or config.get("model_type"),
            allowed="encoders such as BERT, RoBERTa, DistilBERT, MPNet, ELECTRA, DeBERTa; decoders such as Qwen, Llama",
            next="write `model: embedded`, or name an encoder",
        )
    weights = _weights(located)
    hidden, num_layers = first_of(config, HIDDEN), first_of(config, LAYERS)
    if not hidden or not num_layers:
        raise ModelError(
            "config.json names no hidden size or no number of layers",
            seen=config.get("model_type", "no model_type"),
            next="name the folder of an encoder, or write `model: embedded`",
        )
    tokenizer = located.folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelError(
            "the model has no tokenizer.json",
            seen=", ".join(sorted(path.name for path in located.folder.iterdir())),
            next='python -c "from transformers import AutoTokenizer as T; '
            "T.from_pretrained('FOLDER').save_pretrained('FOLDER')\"",
        )
    vocabulary = int(config.get("vocab_size") or 0)
    if network != "encoder":
        _check_ids(tokenizer, vocabulary)
    positions = positions_of(config)
    return {
        "name": located.name,
        "model_type": config.get("model_type", "unknown"),
        "network": network,
        "num_parameters": sum(one.num_parameters for one in weights),
        "hidden": hidden,
        "num_layers": num_layers,
        "vocabulary": vocabulary,
        "num_vocabulary": vocabulary,
        "max_tokens": _max_tokens(located.folder, config, positions),
        "max_positions": positions,
        "pooling": "last" if network == "decoder" else _pooling(located.folder),
        "is_normalized": any("Normalize" in str(one.get("type")) for one in _list(located.folder / "modules.json")),
        "is_tied": is_tied(config, frozenset().union(*(one.names for one in weights))),
        "has_template": _has_template(located.folder),
        "tokenizer": digests.of_file(tokenizer),
        "dtype": ", ".join(sorted(set().union(*(one.dtypes for one in weights)))),
    }


def _refuse_adapter(folder: Path) -> None:
    """Raise ModelError for a folder of PEFT's, which holds no weights to stand on."""
    file = folder / "adapter_config.json"
    if (folder / "config.json").is_file() or not file.is_file():
        return
    name = _json(file, "").get("base_model_name_or_path") or "a base that it does not name"
    raise ModelError(
        "this folder holds an adapter (PEFT), not a model: it stands beside the weights of its base",
        seen=f"{folder.name}/adapter_config.json, trained over {name}",
        allowed="a folder with config.json and all weights, or a model of this workspace",
        next="name the released model itself (`model: name@version`), or write it whole: tunesmith export NAME@VERSION "
        "FOLDER --format merged",
    )


def _weights(located: Located) -> list[Weights]:
    folder, used = located.folder, located.files()
    files = [path for name, path in used.items() if name.endswith(".safetensors")]
    if not files:
        pickles = [path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]
        raise ModelError(
            "the model folder has no weights in safetensors form",
            seen=f"only {', '.join(pickles)}, which can run code when opened" if pickles else "no weight file",
            next="convert it once where you trust it: AutoModel.from_pretrained(...).save_pretrained(FOLDER)",
        )
    for index in (path for name, path in used.items() if name.endswith(".safetensors.index.json")):
        missing = sorted(shards_of(index) - {path.name for path in files})
        if missing:
            raise ModelError(
                "weight files that the model's index names are missing",
                seen=f"{index.name}: {', '.join(missing)}",
                next="copy or download the model again",
            )
    return [read_header(path) for path in files]


def _max_tokens(folder: Path, config: dict[str, Any], positions: int | None) -> int:
    """The longest text the model reads; of relative positions, which have no end, what it was trained on: 512."""
    limits = [(positions or 512) - POSITIONS_BEFORE_FIRST.get(config.get("model_type", ""), 0)]
    for name, key in (("tokenizer_config.json", "model_max_length"), ("sentence_bert_config.json", "max_seq_length")):
        value = (_json(folder / name) if (folder / name).is_file() else {}).get(key)
        if isinstance(value, int) and 0 < value < 10**9:
            limits.append(value)
    return int(min(limits))


def _check_ids(tokenizer: Path, vocabulary: int) -> None:
    """Refuse a tokenizer that writes ids for which the model has no embedding: it would fail in the middle of a run."""
    settings = _json(tokenizer)
    model = settings.get("model") or {}
    entries = model.get("vocab") or {}
    highest = max(entries.values(), default=-1) if isinstance(entries, dict) else len(entries) - 1
    highest = max([highest, *(int(one["id"]) for one in settings.get("added_tokens") or [])])
    if highest >= vocabulary:
        raise ModelError(
            "the tokenizer writes ids that the model has no embedding for",
            seen=f"id {highest:,} in tokenizer.json, vocab_size {vocabulary:,} in config.json",
            allowed=f"ids below {vocabulary:,}",
            next="put the tokenizer beside the weights that belong to it, or resize the model's embeddings once",
        )


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    path = folder / "tokenizer_config.json"
    return path.is_file() and bool(_json(path).get("chat_template"))


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
