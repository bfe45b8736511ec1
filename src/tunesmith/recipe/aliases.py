"""Other tools' keys: what each is called here, and what to write instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.data.sources.several import kind_of

Write = Callable[[Any], dict[str, Any] | None]
"""The piece of recipe that says the same as another tool's value; ``None`` where nothing here does."""


@dataclass(frozen=True)
class Alias:
    """What another tool's key is here."""

    native: str | None
    """The dotted path here; ``None``: there is no such key."""
    write: Write
    note: str = ""
    """What the reader must know besides, as a sentence without a full stop."""


def at(path: str, convert: Callable[[Any], Any] = lambda value: value) -> Write:
    """Writes the converted value at a dotted path; a value that converts to ``None`` cannot be said here."""

    def write(value: Any) -> dict[str, Any] | None:
        converted = convert(value)
        for key in reversed(path.split(".")):
            if converted is None:
                return None
            converted = {key: converted}
        return converted  # type: ignore[no-any-return]

    return write


def _same(path: str, convert: Callable[[Any], Any] = lambda value: value, note: str = "") -> Alias:
    return Alias(path, at(path, convert), note)


def _none(note: str) -> Alias:
    return Alias(None, lambda value: None, note)


def number(value: Any) -> int | float | None:
    """The value as a number, also where another tool's file has it as text (`"2e-4"`); ``None`` where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        as_float = float(value)
    except ValueError:
        return None
    return int(as_float) if as_float.is_integer() and abs(as_float) < 2**53 else as_float


def _positive(value: Any) -> int | None:
    found = number(value)
    return found if isinstance(found, int) and found > 0 else None


def _above_zero(most: float) -> Callable[[Any], float | None]:
    def convert(value: Any) -> float | None:
        found = number(value)
        return float(found) if found is not None and 0 < found <= most else None

    return convert


def _decay(value: Any) -> float | None:
    found = number(value)
    return float(found) if found is not None and 0 <= found <= 10 else None


def _tokens(value: Any) -> int | None:
    found = _positive(value)
    return found if found is not None and found >= 8 else None


def _share(value: Any) -> float | None:
    found = number(value)
    return float(found) if found is not None and 0 <= found < 1 else None


def _schedule(value: Any) -> str | None:
    name = str(value).lower().removesuffix("_with_warmup")
    return name if name in ("linear", "cosine", "constant") else None


def _optimizer(value: Any) -> str | None:
    name = str(value).lower()
    kinds = ("adamw", "adafactor", "adam", "sgd", "rmsprop", "lion")
    return next((kind for kind in kinds if kind in name), None)


def _lora_kind(value: Any) -> dict[str, Any] | None:
    """`qlora` and other adapters have no counterpart; a table under `peft` or `lora` is not read."""
    kinds = {"lora": "lora", "full": "full", "true": "lora"}
    kind = kinds.get(str(value).lower()) if isinstance(value, str | bool) else None
    return None if kind is None else {"train": {"trainable": kind}}


def _lora(key: str, convert: Callable[[Any], Any]) -> Alias:
    def write(value: Any) -> dict[str, Any] | None:
        converted = convert(value)
        return None if converted is None else {"train": {"trainable": {"kind": "lora", key: converted}}}

    return Alias(f"train.trainable.{key}", write, "with `kind: lora`")


def _targets(value: Any) -> Any:
    if value in ("all", "all-linear", "auto"):
        return "auto"
    names = value.split(",") if isinstance(value, str) else value
    is_list = isinstance(names, list) and names and all(isinstance(one, str) for one in names)
    return [one.strip() for one in names] if is_list else None


def _bfloat16(value: Any) -> str:
    return {True: "bfloat16", False: "float32"}.get(value, "auto") if isinstance(value, bool) else "auto"


def _smoothing(value: Any) -> dict[str, Any] | None:
    share = _share(value)
    return None if share is None else {"train": {"method": {"kind": "classify", "label_smoothing": share}}}


def _source(value: Any) -> dict[str, Any] | None:
    """Other tools name one file, or a list of tables with a `path` each."""
    first = value[0] if isinstance(value, list) and value else value
    path = first.get("path") if isinstance(first, dict) else first
    if not isinstance(path, str):
        return None
    return {"data": {"sources": [{"kind": kind_of(path), "path": path}]}}


def _column(role: str) -> Write:
    return lambda value: {"columns": {role: value}} if isinstance(value, str) else None


def _evaluations(value: Any) -> float | None:
    found = number(value)
    return 1 / found if found else None


IN_COLUMNS = "it stands in each source, under `columns`"
LORA = "`full`, `head`, `top_layers` or `lora` say what learns; nothing is quantised"
STEPS = "validation is counted in epochs here (0.5: twice an epoch)"
QUANTISED = "weights of 4 and 8 bits are not in this version"
HUB = "nothing is sent to a hub in this version"
NOT_NEEDED = "leave it out: evaluation chooses its own batches, which change no result"

ALIASES: Mapping[str, Alias] = {
    **dict.fromkeys(
        ("base_model", "model_name_or_path", "pretrained_model_name_or_path", "model_name", "model_id", "model_path"),
        _same("model", lambda value: value if isinstance(value, str) else None),
    ),
    **dict.fromkeys(("learning_rate", "lr"), _same("train.optimizer.lr", _above_zero(10))),
    **dict.fromkeys(
        ("sequence_len", "cutoff_len", "max_seq_length", "max_seq_len", "max_length", "model_max_length"),
        _same("train.max_tokens", _tokens),
    ),
    **dict.fromkeys(("num_train_epochs", "num_epochs", "n_epochs", "max_epochs"), _same("train.epochs", _positive)),
    **dict.fromkeys(("lr_scheduler_type", "lr_scheduler", "scheduler"), _same("train.schedule.kind", _schedule)),
    "warmup_ratio": _same("train.schedule.warmup", _share, "a value below 1 is a share of all steps"),
    "warmup_steps": _same(
        "train.schedule.warmup",
        lambda value: found if isinstance(found := number(value), int) and found >= 0 else None,
        "a whole number is a number of steps",
    ),
    "weight_decay": _same("train.optimizer.weight_decay", _decay),
    "adam_beta1": _same("train.optimizer.betas", lambda value: None if (b := _share(value)) is None else [b, 0.999]),
    "adam_beta2": _same("train.optimizer.betas", lambda value: None if (b := _share(value)) is None else [0.9, b]),
    "adam_epsilon": _same("train.optimizer.eps", _above_zero(1)),
    **dict.fromkeys(("optim", "optimizer_type", "optimizer_name"), _same("train.optimizer.kind", _optimizer)),
    **dict.fromkeys(("max_grad_norm", "gradient_clipping", "grad_clip"), _same("train.clip", _above_zero(math.inf))),
    **dict.fromkeys(("label_smoothing_factor", "label_smoothing"), Alias("train.method.label_smoothing", _smoothing)),
    **dict.fromkeys(
        ("class_weight", "class_weights"),
        Alias(
            "train.method.class_weights",
            lambda value: (
                {"train": {"method": {"kind": "classify", "class_weights": value}}}
                if value in ("balanced", "none") or isinstance(value, dict)
                else None
            ),
        ),
    ),
    **dict.fromkeys(("early_stopping_patience", "patience"), _same("train.early_stopping.patience", _positive)),
    **dict.fromkeys(
        ("seed", "data_seed", "random_seed", "random_state"),
        _same("seed", lambda value: found if isinstance(found := number(value), int) and found >= 0 else None),
    ),
    **dict.fromkeys(("bf16", "use_bf16"), _same("train.precision", _bfloat16)),
    "fp16": _same("train.precision", lambda value: "auto", "float16 is not in this version, bfloat16 is"),
    **dict.fromkeys(
        ("group_by_length", "sample_packing", "packing"),
        _same("train.bucketing", lambda value: value if isinstance(value, bool) else None),
    ),
    "auto_find_batch_size": _same(
        "train.microbatch_tokens", lambda value: "auto", "memory is its concern; `train.batch` is the maths"
    ),
    **dict.fromkeys(("dataset_path", "train_file", "data_path", "dataset", "datasets"), Alias("data.sources", _source)),
    **dict.fromkeys(
        ("val_set_size", "validation_split", "validation_split_percentage", "val_size"),
        _same("data.split.validation", _share, "a share of the rows"),
    ),
    "test_size": _same("data.split.test", _share, "a share of the rows"),
    **dict.fromkeys(
        ("text_column", "text_field", "dataset_text_field", "text_column_name", "field_text"),
        Alias("data.sources.columns.text", _column("text"), IN_COLUMNS),
    ),
    **dict.fromkeys(
        ("label_column", "label_field", "label_column_name", "target_column", "field_label"),
        Alias("data.sources.columns.label", _column("label"), IN_COLUMNS),
    ),
    "evals_per_epoch": _same("train.validate_every", _evaluations, STEPS),
    **dict.fromkeys(
        ("eval_steps", "evaluation_strategy", "eval_strategy"),
        _same("train.validate_every", lambda value: 1.0 if value == "epoch" else None, STEPS),
    ),
    **dict.fromkeys(
        ("save_steps", "save_strategy", "saves_per_epoch"),
        _same("train.checkpoint_every_s", lambda value: None, "checkpoints to resume from are counted in seconds here"),
    ),
    **dict.fromkeys(("adapter", "peft", "lora"), Alias("train.trainable", _lora_kind, LORA)),
    "finetuning_type": Alias("train.trainable", _lora_kind, LORA),
    "lora_r": _lora("rank", _positive),
    "lora_rank": _lora("rank", _positive),
    "lora_alpha": _lora("alpha", _above_zero(65_536)),
    "lora_dropout": _lora("dropout", _share),
    **dict.fromkeys(("lora_target_modules", "lora_target"), _lora("targets", _targets)),
    "use_rslora": _lora("rslora", lambda value: value if isinstance(value, bool) else None),
    "mixup_alpha": _same("train.mixup.alpha", _above_zero(100)),
    "freeze_base_model": _same("train.trainable", lambda value: "head" if value is True else "full"),
    **dict.fromkeys(("problem_type", "task_type", "task_name"), _same("task", lambda value: None)),
    **dict.fromkeys(("num_labels", "label_names", "id2label"), _none("leave it out: labels come from the data")),
    **dict.fromkeys(("load_in_4bit", "load_in_8bit", "quantization_bit", "quantization"), _none(QUANTISED)),
    **dict.fromkeys(("push_to_hub", "hub_model_id", "hub_token"), _none(HUB)),
    **dict.fromkeys(("per_device_eval_batch_size", "eval_batch_size"), _none(NOT_NEEDED)),
    **dict.fromkeys(
        ("output_dir", "logging_dir", "run_name"),
        _none("a run writes to the workspace: `.tunesmith`, or where TUNESMITH_HOME points"),
    ),
    **dict.fromkeys(("logging_steps", "logging_strategy"), _none("leave it out: every step is recorded")),
    "gradient_checkpointing": _none("leave it out: lower `train.microbatch_tokens` where memory is short"),
    "report_to": _none("outside trackers are not in this version; the run's report is a file of its own"),
    "load_best_model_at_end": _none("leave it out: the best checkpoint is always kept"),
    "trust_remote_code": _none("leave it out: code from a model folder is never run"),
    **dict.fromkeys(("model_type", "tokenizer_type"), _none("leave it out: the model's own folder says it")),
}
"""Keys of Transformers, TRL, Axolotl, LLaMA-Factory, Unsloth and scikit-learn."""

DEVICE_ROWS = frozenset({"per_device_train_batch_size", "micro_batch_size", "train_batch_size", "batch_size"})
ACCUMULATION = frozenset({"gradient_accumulation_steps", "accumulate_grad_batches", "grad_accum"})
PROCESSES = frozenset({"num_processes", "world_size", "nproc_per_node", "num_gpus"})
BATCH = DEVICE_ROWS | ACCUMULATION | PROCESSES
"""Keys whose product is the rows of an optimizer step."""

KNOWN = frozenset(ALIASES) | BATCH


def batch_of(found: Mapping[str, Any]) -> tuple[int | None, str]:
    """The `train.batch` that other tools' keys make together, and the sum in words; ``None`` without rows a device."""
    factors, words = [], []
    for keys, unit in ((DEVICE_ROWS, ""), (ACCUMULATION, ""), (PROCESSES, "processes")):
        for key in sorted(keys & found.keys()):
            factors.append(_positive(found[key]))
            words.append(f"`{key}` {found[key]}")
            break
        else:
            if unit:
                factors.append(1)
                words.append("1 process")
    has_rows = bool(DEVICE_ROWS & found.keys())
    product = 1
    for factor in factors:
        if factor is None:
            return None, " × ".join(words)
        product *= factor
    return (product if has_rows else None), " × ".join(words)
