"""What the model decides with, calibrated on the validation rows once training is done.

Shapes: N validation rows, M out-of-scope rows, C labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts
from tunesmith.metrics import thresholds
from tunesmith.metrics.calibration import at_temperature, fit_temperature, log_loss
from tunesmith.metrics.scope import scope_scores, threshold_for
from tunesmith.metrics.thresholds import Threshold
from tunesmith.models.manifest import Decision, Rejection
from tunesmith.numerics.scope import RejectionScore, rejection_score
from tunesmith.training.decision_config import AtLeastPrecision, DecisionConfig, RejectConfig

Floats = NDArray[np.float64]

FEW_ROWS = 20
"""Fewer validation rows calibrate nothing: the temperature stays 1, and a rejecting threshold is only a guess."""
SCORES: tuple[RejectionScore, ...] = ("max_logit", "energy", "max_probability")
MOST_NAMED = 5

Warn = Callable[[str], None]


def classify_decision(
    config: DecisionConfig, logits_NC: Floats, target_N: NDArray[np.int64], outside_MC: Floats | None, warn: Warn
) -> tuple[Decision, Facts]:
    """Temperature and rejection of ``classify``; ``outside_MC`` are the logits of out-of-scope validation rows."""
    probability_NC = _softmax(logits_NC)
    temperature, facts = _temperature(config, probability_NC, target_N)
    if config.reject is None:
        return Decision(temperature=temperature), facts
    if not len(logits_NC):
        raise DataError(
            "`decision.reject` is calibrated on validation rows, and there are none",
            next="write `data: {split: {validation: 0.1}}`",
        )
    if len(logits_NC) < FEW_ROWS:
        warn(f"the rejecting threshold rests on {len(logits_NC)} validation rows only: it may be far off")
    rejection, seen = _rejection(config.reject, logits_NC, outside_MC, temperature)
    return Decision(temperature=temperature, reject=rejection), {**facts, "reject": seen}


def tag_decision(
    config: DecisionConfig, names: tuple[str, ...], logits_NC: Floats, has_NC: NDArray[np.bool_], warn: Warn
) -> tuple[Decision, Facts]:
    """Temperature and thresholds of ``tag``.

    Raises: DataError where no label can be given with the precision asked for, naming the best that can be.
    """
    # One yes or no a label: a softmax of two, so that the same temperature is fitted as for classify.
    both_MC = _yes_or_no(1 / (1 + np.exp(-logits_NC)))
    temperature, facts = _temperature(config, both_MC, np.where(has_NC, 0, 1).ravel())
    probability_NC = 1 / (1 + np.exp(-logits_NC / temperature))
    chosen = _thresholds(config, has_NC, probability_NC)
    _tell_unmet(config, names, chosen, warn)
    told = {name: asdict(one) for name, one in zip(names, chosen, strict=True)}
    decision = Decision(temperature=temperature, thresholds=tuple(one.value for one in chosen))
    return decision, {**facts, "num_rows": len(logits_NC), "labels": told}


def _temperature(config: DecisionConfig, probability_NC: Floats, target_N: NDArray[np.int64]) -> tuple[float, Facts]:
    num_rows = len(probability_NC)
    if not config.calibrate or num_rows < FEW_ROWS:
        return 1.0, {"num_rows": num_rows}
    temperature = round(fit_temperature(probability_NC, target_N), 4)
    return temperature, {
        "num_rows": num_rows,
        "loss_before": log_loss(probability_NC, target_N),
        "loss_after": log_loss(at_temperature(probability_NC, temperature), target_N),
    }


def _rejection(
    config: RejectConfig, logits_NC: Floats, outside_MC: Floats | None, temperature: float
) -> tuple[Rejection, Facts]:
    """The rejection, and how well each score tells the out-of-scope validation rows."""
    inside = {kind: _score(logits_NC, kind, temperature) for kind in SCORES}
    told: dict[str, Any] = {}
    if outside_MC is not None and len(outside_MC):
        found = {kind: scope_scores(inside[kind], _score(outside_MC, kind, temperature)) for kind in SCORES}
        told = {kind: {"auroc": one.auroc, "fpr_at_95_tpr": one.fpr_at_95_tpr} for kind, one in found.items()}
    best: RejectionScore = max(SCORES, key=lambda one: told[one]["auroc"]) if told else SCORES[0]
    kind: RejectionScore = config.score or best
    rejection = Rejection(
        score=kind, threshold=threshold_for(inside[kind], config.keep), label=config.label, keep=config.keep
    )
    num_outside = 0 if outside_MC is None else len(outside_MC)
    seen: Facts = {"scores": told, "kept": float((inside[kind] >= rejection.threshold).mean()), "outside": num_outside}
    if outside_MC is not None and num_outside:
        seen["rejected"] = float((_score(outside_MC, kind, temperature) < rejection.threshold).mean())
    return rejection, seen


def _thresholds(config: DecisionConfig, has_NC: NDArray[np.bool_], probability_NC: Floats) -> list[Threshold]:
    asked = config.thresholds
    if isinstance(asked, AtLeastPrecision):
        return thresholds.at_least_precision(has_NC, probability_NC, asked.at_least_precision)
    if asked == "f1" and len(has_NC):
        return thresholds.best_f1(has_NC, probability_NC)
    return thresholds.fixed(has_NC, probability_NC, thresholds.DEFAULT if asked == "f1" else asked)


def _tell_unmet(config: DecisionConfig, names: tuple[str, ...], chosen: list[Threshold], warn: Warn) -> None:
    unmet = {name: one for name, one in zip(names, chosen, strict=True) if one.chosen_by == "cannot be met"}
    if not unmet or not isinstance(config.thresholds, AtLeastPrecision):
        return
    wanted = config.thresholds.at_least_precision
    best = sorted(unmet.items(), key=lambda item: (-item[1].precision, item[0]))
    listed = ", ".join(f"`{name}` {one.precision:.2f} ({one.support} rows)" for name, one in best[:MOST_NAMED])
    more = f" and {len(best) - MOST_NAMED} more" if len(best) > MOST_NAMED else ""
    if len(unmet) == len(names):
        raise DataError(
            f"no label reaches a precision of {wanted:g} on the validation rows, so none could ever be given",
            seen=f"the best that can be reached: {listed}{more}",
            next=f"lower `decision.thresholds.at_least_precision` to {best[0][1].precision:.2f} or less, or write `f1`",
        )
    warn(
        f"{len(unmet)} of {len(names)} labels reach a precision of {wanted:g} with no threshold and are never given; "
        f"the best that can be reached: {listed}{more}"
    )


def _score(logits_NC: Floats, kind: RejectionScore, temperature: float) -> Floats:
    return np.asarray(rejection_score(torch.from_numpy(logits_NC), kind, temperature).numpy())


def _softmax(logits_NC: Floats) -> Floats:
    return np.asarray(torch.from_numpy(logits_NC).softmax(-1).numpy())


def _yes_or_no(probability_NC: Floats) -> Floats:
    return np.stack([probability_NC.ravel(), 1 - probability_NC.ravel()], axis=1)
