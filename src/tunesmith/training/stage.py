"""The train stage: from splits and a base to a model, by the one loop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact
from tunesmith.core.engine import Request
from tunesmith.core.errors import DataError
from tunesmith.core.method import HasNetworks, HasScores, Method, Network, Row
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.metrics import table
from tunesmith.models.heads import Head
from tunesmith.models.manifest import (
    BaseReference,
    Decision,
    LengthPolicy,
    ModelManifest,
    NetworkShape,
    Standardization,
    TextRepair,
)
from tunesmith.models.widen import carry_over
from tunesmith.training.calibration import classify_decision, tag_decision
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.features import open_tokenizer
from tunesmith.training.language.phase_config import TrainLanguageConfig
from tunesmith.training.loop import Loop, Settings, State
from tunesmith.training.memory import budget_tokens
from tunesmith.training.optimizers import groups
from tunesmith.training.precision import resolve
from tunesmith.training.range_test import Fresh, RangeTest, range_test
from tunesmith.training.regularise import aim_of
from tunesmith.training.rows import Examples, read_outside, read_split
from tunesmith.training.step import Networks
from tunesmith.training.targets import Labels, LabelSets, Scale, Scales, Target, target_of
from tunesmith.training.trainables.trainable import Trainable
from tunesmith.training.validation import Watch, answers


class Train:
    """Fine-tunes one phase."""

    makes: ClassVar[Mapping[str, str]] = {"model": "model", "history": "history"}

    def __init__(self, config: TrainStageConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the model and of its history."""
        config = _chosen(given, self.config)
        made = assemble(config, given, context)
        manifest, model, loop = made.manifest, made.model, made.loop
        state = loop.fit()
        num_trained = sum(one.numel() for one in model.module.parameters() if one.requires_grad)
        manifest = made.trainable.save(manifest, model, given["base"], context.out / "model")
        decision, calibration = _decision(config, made, given, context)
        manifest = manifest.model_copy(update={"decision": decision})
        manifest.write(context.out / "model")
        facts = {
            **manifest.model_dump(mode="json"),
            **outcome(state, len(loop.train_rows), loop.settings),
            **made.lost,
            "num_trained_parameters": num_trained,
            "precision": loop.networks.precision,
            **loop.mishaps.facts(),
            **({"calibration": calibration} if calibration else {}),
            **({} if made.range_test is None else {"range_test": made.range_test.facts()}),
        }
        return {"model": facts, "history": write_history(state, context, made.range_test)}


@dataclass(frozen=True)
class Assembled:
    """A phase ready to run: the loop with all it needs, and what is said of the model."""

    loop: Loop
    manifest: ModelManifest
    model: Network
    lost: Mapping[str, int]
    """Rows and tokens that the length policy takes from the training rows."""
    trainable: Trainable
    range_test: RangeTest | None = None
    """How the learning rate was found, where it was left to a test."""


def assemble(config: TrainStageConfig, given: Given, context: StepContext) -> Assembled:
    """The phase that a config describes; the seed is set before anything is initialised."""
    torch.manual_seed(context.seed)
    splits = given["splits"]
    examples = {name: read_split(splits, name) for name in ("train", "validation")}
    target = target_of(config.task, splits.facts, examples["train"].labels)
    manifest = _manifest(config, given["base"], splits, target)
    trainable: Trainable = wiring.load(wiring.wire("trainable", config.trainable.kind).make)(config.trainable)
    method: Method = wiring.load(wiring.wire("method", config.method.kind).make)(config.method, target)

    inputs = trainable.inputs({name: one.texts for name, one in examples.items()}, given, config)
    rows = {name: _rows(method, split, inputs[name][0], target) for name, split in examples.items()}
    if unknown := len(examples["validation"]) - len(rows["validation"]):
        context.warn(f"{unknown} validation rows have a label that no training row has: they choose no checkpoint")
    cut = inputs["train"][1]
    rows["train"] = [rows["train"][place] for place in _kept(config, cut)]
    lost = _lost(config, cut)
    if lost["truncated_rows"] or lost["dropped_rows"]:
        context.warn(_lost_words(lost, manifest.length.max_tokens))

    settings = _settings(config, method, given, context, len(rows["train"]))

    def fresh(factor: float = 1.0) -> Fresh:
        """The network at its start, its optimizers, and what they minimise: the same whenever it is called."""
        torch.manual_seed(context.seed)
        model = trainable.network(manifest, given["base"])
        if "parent" in given:
            head = model.module.get_submodule("head")
            assert isinstance(head, Head), "every head model keeps it there"
            carry_over(head, manifest, given["parent"].path)
        networks = Networks({"model": model, **_extra(method, model)}, resolve(config.precision))
        return Fresh(
            networks, _optimizers(config, networks, factor), aim_of(method, config, model, manifest.num_outputs)
        )

    tested = range_test(config, fresh, rows["train"], settings, context) if config.optimizer.lr == "auto" else None
    new = fresh(1.0 if tested is None else tested.factor)
    loop = Loop(method, new.networks, new.optimizers, rows, settings, context, new.aim)
    return Assembled(loop, manifest, new.networks.by_role["model"], lost, trainable, tested)


def _chosen(given: Given, config: TrainStageConfig) -> TrainStageConfig:
    """The recipe's settings, or those that tuning found best."""
    if "settings" not in given:
        return config
    found = json.loads((given["settings"].path / "settings.json").read_text(encoding="utf-8"))
    return TrainStageConfig.model_validate(found["train"])


def _rows(method: Method, split: Examples, columns: list[Row], target: Target) -> list[Row]:
    def rendered(place: int) -> Callable[[str], Row]:
        # Texts were turned into columns all at once, which is many times faster than one by one.
        return lambda text: columns[place]

    pairs = enumerate(zip(split.texts, split.labels, strict=True))
    return [
        method.rows({"text": text, "label": label}, rendered(place))
        for place, (text, label) in pairs
        if not isinstance(target, Labels) or label in target
    ]


def _manifest(config: TrainStageConfig, base: Artifact, splits: Artifact, target: Target) -> ModelManifest:
    tokenizer, pooling = open_tokenizer(base.path / "files", base.facts, config.features())
    return ModelManifest(
        task=config.task,
        labels=target.names if isinstance(target, Labels | LabelSets) else (),
        target=_standardization(target) if isinstance(target, Scale) else None,
        targets=dict(zip(target.names, map(_standardization, target.parts), strict=True))
        if isinstance(target, Scales)
        else {},
        base=BaseReference(name=base.facts["name"], digest=base.digest, commit=base.facts.get("commit")),
        trainable=config.trainable.kind,
        network=NetworkShape(
            pooling=pooling,
            is_normalized=bool(base.facts["is_normalized"]),
            hidden=base.facts["hidden"],
            dropout=config.dropout,
            head=config.head,
        ),
        length=LengthPolicy(max_tokens=tokenizer.max_tokens, policy=config.length_policy),
        repair=TextRepair.model_validate(splits.facts.get("repair", {})),
        privacy=splits.facts.get("privacy"),
    )


def _standardization(scale: Scale) -> Standardization:
    return Standardization(mean=scale.mean, std=scale.std)


def _decision(config: TrainStageConfig, made: Assembled, given: Given, context: StepContext) -> tuple[Decision, Facts]:
    """What the trained model decides with, from its outputs on the validation rows; numbers need no decision."""
    loop, asked = made.loop, config.decision
    if config.task == "regress":
        return Decision(), {}
    rows = loop.validation_rows
    _, outputs = answers(loop.method, loop.networks, rows, loop.settings.budget_tokens)
    logits_NC = np.zeros((0, made.manifest.num_outputs)) if outputs is None else outputs
    if config.task == "tag":
        has_NC = np.array([row["target"] for row in rows], bool).reshape(logits_NC.shape)
        return tag_decision(asked, made.manifest.labels, logits_NC, has_NC, context.warn)
    target_N = np.array([row["target"] for row in rows], np.int64)
    outside = (
        None if asked.reject is None or asked.reject.label is None else read_outside(given["splits"], "validation")
    )
    logits_MC = None if outside is None else _logits(context.out / "model", given["base"].path, outside)
    return classify_decision(asked, logits_NC, target_N, logits_MC, context.warn)


def _logits(model: Path, base: Path, texts: Sequence[str]) -> NDArray[np.float64] | None:
    """The saved model's outputs for texts that no loop has seen."""
    from tunesmith.engines.transformers import TransformersEngine

    engine = TransformersEngine.open(model, base)
    found = sorted(engine.submit(Request("logits", texts)), key=lambda answer: answer.index)
    engine.close()
    return np.array([answer.values for answer in found], float) if found else None


def _extra(method: Method, model: Network) -> dict[str, Network]:
    return dict(method.networks(model.module)) if isinstance(method, HasNetworks) else {}


def _optimizers(config: TrainStageConfig, networks: Networks, factor: float) -> dict[str, torch.optim.Optimizer]:
    make = wiring.load(wiring.wire("optimizer", config.optimizer.kind).make)
    return {
        role: make(
            groups(
                network.module.named_parameters(),
                lr=config.lr * factor,
                head_lr=config.head_lr * factor,
                weight_decay=config.optimizer.weight_decay,
            ),
            config.optimizer,
        )
        for role, network in networks.by_role.items()
        if network.is_trained
    }


def _settings(config: TrainStageConfig, method: Method, given: Given, context: StepContext, num_rows: int) -> Settings:
    measured = table.WATCHED[config.task] if isinstance(method, HasScores) else "loss"
    budget = max(1, budget_tokens(config.microbatch_tokens, given["base"].facts) // config.num_passes)
    return settings_of(config, num_rows, measured, budget, context.seed)


def settings_of(
    config: TrainStageConfig | TrainLanguageConfig, num_rows: int, watched: str, budget: int, seed: int
) -> Settings:
    """The numbers of a phase; ``watched`` chooses the checkpoint where the recipe names no metric."""
    stopping = config.early_stopping
    return Settings(
        batch=config.batch,
        epochs=config.num_epochs(num_rows),
        max_steps=config.max_steps,
        schedule_kind=config.schedule.kind,
        warmup=config.schedule.warmup,
        decay=config.schedule.decay,
        clip=config.clip,
        validate_every=config.validate_every,
        is_bucketed=config.bucketing,
        seed=seed,
        patience=None if stopping is None else stopping.patience,
        watch=Watch(
            (stopping.metric if stopping else None) or watched,
            0.0 if stopping is None else stopping.min_delta,
        ),
        budget_tokens=budget,
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


def outcome(state: State, num_rows: int, settings: Settings) -> dict[str, Any]:
    """How far a run went, as the model's facts say it."""
    return {
        "steps": state.step,
        "epochs": round(state.step / math.ceil(num_rows / settings.batch), 2),
        "best_step": state.best_step,
        "best": state.best_value,
        "watched": settings.watch.metric,
        "stopped": "early: validation got no better" if state.is_stopped else "after the last step",
        "rows": num_rows,
    }


def write_history(state: State, context: StepContext, tested: RangeTest | None = None) -> Facts:
    """The facts of the history, once it is written: a line a record."""
    folder = context.out / "history"
    folder.mkdir(parents=True, exist_ok=True)
    records = [*([] if tested is None else tested.lines()), *state.history]
    lines = [json.dumps(line, sort_keys=True) + "\n" for line in records]
    (folder / "history.jsonl").write_text("".join(lines), encoding="utf-8")
    return {"lines": len(lines), "steps": state.step}
