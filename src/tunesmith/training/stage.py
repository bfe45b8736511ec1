"""The train stage: from splits and a base to a model, by the one loop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError
from tunesmith.core.method import HasNetworks, HasScores, Method, Network, Row
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.metrics import table
from tunesmith.models.folder import save_model
from tunesmith.models.manifest import (
    BaseReference,
    LengthPolicy,
    ModelManifest,
    NetworkShape,
    Standardization,
    TextRepair,
)
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.features import open_tokenizer
from tunesmith.training.loop import Loop, Settings, State
from tunesmith.training.memory import budget_tokens
from tunesmith.training.optimizers import groups
from tunesmith.training.precision import resolve
from tunesmith.training.rows import Examples, read_split
from tunesmith.training.step import Networks
from tunesmith.training.targets import Labels, Scale
from tunesmith.training.validation import Watch


class Train:
    """Fine-tunes one phase."""

    makes: ClassVar[Mapping[str, str]] = {"model": "model", "history": "history"}

    def __init__(self, config: TrainStageConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the model and of its history."""
        made = assemble(_chosen(given, self.config), given, context)
        manifest, model, loop = made.manifest, made.model, made.loop
        state = loop.fit()
        save_model(manifest, model.module, given["base"].path / "files", context.out / "model")  # type: ignore[arg-type]
        facts = {
            **manifest.model_dump(mode="json"),
            **_outcome(state, len(loop.train_rows), loop.settings),
            **made.lost,
            "num_trained_parameters": sum(one.numel() for one in model.module.parameters()),
            "precision": loop.networks.precision,
        }
        return {"model": facts, "history": _write_history(state, context)}


@dataclass(frozen=True)
class Assembled:
    """A phase ready to run: the loop with all it needs, and what is said of the model."""

    loop: Loop
    manifest: ModelManifest
    model: Network
    lost: Mapping[str, int]
    """Rows and tokens that the length policy takes from the training rows."""


def assemble(config: TrainStageConfig, given: Given, context: StepContext) -> Assembled:
    """The phase that a config describes; the seed is set before anything is initialised."""
    torch.manual_seed(context.seed)
    splits = given["splits"]
    examples = {name: read_split(splits, name) for name in ("train", "validation")}
    target: Labels | Scale
    if config.task == "classify":
        target = Labels.of(splits.facts["labels"], examples["train"].labels)
    else:
        target = Scale.of(examples["train"].labels)
    manifest = _manifest(config, given["base"], splits, target)
    trainable = wiring.load(wiring.wire("trainable", config.trainable.kind).make)(config.trainable)
    method: Method = wiring.load(wiring.wire("method", config.method.kind).make)(config.method, target)

    inputs = trainable.inputs({name: one.texts for name, one in examples.items()}, given, config)
    rows = {name: _rows(method, split, inputs[name][0]) for name, split in examples.items()}
    cut = inputs["train"][1]
    rows["train"] = [rows["train"][place] for place in _kept(config, cut)]
    lost = _lost(config, cut)
    if lost["truncated_rows"] or lost["dropped_rows"]:
        context.warn(_lost_words(lost, manifest.length.max_tokens))

    model: Network = trainable.network(manifest, given["base"])
    networks = Networks({"model": model, **_extra(method, model)}, resolve(config.precision))
    settings = _settings(config, method, given, context, len(rows["train"]))
    loop = Loop(method, networks, _optimizers(config, networks), rows, settings, context)
    return Assembled(loop, manifest, model, lost)


def _chosen(given: Given, config: TrainStageConfig) -> TrainStageConfig:
    """The recipe's settings, or those that tuning found best."""
    if "settings" not in given:
        return config
    found = json.loads((given["settings"].path / "settings.json").read_text(encoding="utf-8"))
    return TrainStageConfig.model_validate(found["train"])


def _rows(method: Method, split: Examples, columns: list[Row]) -> list[Row]:
    def rendered(place: int) -> Callable[[str], Row]:
        # Texts were turned into columns all at once, which is many times faster than one by one.
        return lambda text: columns[place]

    pairs = enumerate(zip(split.texts, split.labels, strict=True))
    return [method.rows({"text": text, "label": label}, rendered(place)) for place, (text, label) in pairs]


def _manifest(config: TrainStageConfig, base: Artifact, splits: Artifact, target: Labels | Scale) -> ModelManifest:
    tokenizer, pooling = open_tokenizer(base.path / "files", base.facts, config.features())
    return ModelManifest(
        task=config.task,
        labels=target.names if isinstance(target, Labels) else (),
        target=Standardization(mean=target.mean, std=target.std) if isinstance(target, Scale) else None,
        base=BaseReference(name=base.facts["name"], digest=base.digest),
        trainable=config.trainable.kind,
        network=NetworkShape(
            pooling=pooling,
            is_normalized=bool(base.facts["is_normalized"]),
            hidden=base.facts["hidden"],
            dropout=config.dropout,
        ),
        length=LengthPolicy(max_tokens=tokenizer.max_tokens, policy=config.length_policy),
        repair=TextRepair.model_validate(splits.facts.get("repair", {})),
    )


def _extra(method: Method, model: Network) -> dict[str, Network]:
    return dict(method.networks(model.module)) if isinstance(method, HasNetworks) else {}


def _optimizers(config: TrainStageConfig, networks: Networks) -> dict[str, torch.optim.Optimizer]:
    make = wiring.load(wiring.wire("optimizer", config.optimizer.kind).make)
    return {
        role: make(
            groups(
                network.module.named_parameters(),
                lr=config.lr,
                head_lr=config.head_lr,
                weight_decay=config.optimizer.weight_decay,
            ),
            config.optimizer,
        )
        for role, network in networks.by_role.items()
        if network.is_trained
    }


def _settings(config: TrainStageConfig, method: Method, given: Given, context: StepContext, num_rows: int) -> Settings:
    stopping = config.early_stopping
    measured = table.PRIMARY[config.task] if isinstance(method, HasScores) else "loss"
    return Settings(
        batch=config.batch,
        epochs=config.num_epochs(num_rows),
        max_steps=config.max_steps,
        schedule_kind=config.schedule.kind,
        warmup=config.schedule.warmup,
        clip=config.clip,
        validate_every=config.validate_every,
        is_bucketed=config.bucketing,
        seed=context.seed,
        patience=None if stopping is None else stopping.patience,
        watch=Watch(
            (stopping.metric if stopping else None) or measured,
            0.0 if stopping is None else stopping.min_delta,
        ),
        budget_tokens=budget_tokens(config.microbatch_tokens, given["base"].facts),
        checkpoint_every_s=config.checkpoint_every_s,
    )


def _kept(config: TrainStageConfig, cut: list[int]) -> list[int]:
    """The training rows that the length policy keeps.

    Raises: DataError under ``refuse`` where a row is too long, or where nothing is left.
    """
    too_long = [place for place, number in enumerate(cut) if number]
    if too_long and config.length_policy == "refuse":
        raise DataError(
            "training texts are longer than the model reads, and train.length_policy is `refuse`",
            seen=f"{len(too_long)} of {len(cut)} rows, {sum(cut)} tokens too many",
            next="raise `train.max_tokens`, or set `train.length_policy: truncate_right`",
        )
    if config.length_policy != "drop":
        return list(range(len(cut)))
    kept = [place for place, number in enumerate(cut) if not number]
    if not kept:
        raise DataError("every training text is too long, and train.length_policy is `drop`", seen=f"{len(cut)} rows")
    return kept


def _lost(config: TrainStageConfig, cut: list[int]) -> dict[str, int]:
    rows = sum(1 for number in cut if number)
    is_dropped = config.length_policy == "drop"
    return {
        "truncated_rows": 0 if is_dropped else rows,
        "num_truncated_tokens": 0 if is_dropped else sum(cut),
        "dropped_rows": rows if is_dropped else 0,
    }


def _lost_words(lost: Mapping[str, int], max_tokens: int) -> str:
    if lost["dropped_rows"]:
        return f"{lost['dropped_rows']} training rows are longer than {max_tokens} tokens and were dropped"
    return (
        f"{lost['truncated_rows']} training rows are longer than {max_tokens} tokens: "
        f"{lost['num_truncated_tokens']} tokens were cut off"
    )


def _outcome(state: State, num_rows: int, settings: Settings) -> dict[str, Any]:
    return {
        "steps": state.step,
        "epochs": round(state.step / math.ceil(num_rows / settings.batch), 2),
        "best_step": state.best_step,
        "best": state.best_value,
        "watched": settings.watch.metric,
        "stopped": "early: validation got no better" if state.is_stopped else "after the last step",
        "rows": num_rows,
    }


def _write_history(state: State, context: StepContext) -> Facts:
    folder = context.out / "history"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(line, sort_keys=True) + "\n" for line in state.history]
    (folder / "history.jsonl").write_text("".join(lines), encoding="utf-8")
    return {"lines": len(lines), "steps": state.step}
