"""How the model was trained: curves, settings and how it ended."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith.reporting import wording
from tunesmith.reporting.charts.curves import MAX_POINTS, Curve, curve_chart
from tunesmith.reporting.view import RunView


@dataclass(frozen=True)
class Training:
    """The training of a run."""

    loss: Markup | None
    metric: Markup | None
    metric_name: str
    facts: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    thinned: str


def training_of(view: RunView) -> Training:
    """The training of a run."""
    history = _read(view.history)
    steps = [line for line in history if "loss" in line]
    looks = [line for line in history if "validation" in line]
    watched = view.model.get("watched") or view.report["primary"]
    best_step = view.model["best_step"]
    best = next((line for line in looks if line["step"] == best_step), None)
    at = None if best is None else best["epoch"]

    def points(name: str) -> list[tuple[float, float]]:
        return [(line["epoch"], _number(line["validation"].get(name))) for line in looks]

    def mark(name: str) -> tuple[float, float | None] | None:
        value = math.nan if best is None else _number(best["validation"].get(name))
        return None if at is None else (at, value if math.isfinite(value) else None)

    losses = [
        Curve("training loss", "train", [(line["epoch"], _number(line["loss"])) for line in steps]),
        Curve("validation loss", "valid", points("loss")),
    ]
    # A model that is chosen by its loss shows it once.
    metric = [] if watched == "loss" else [Curve(wording.metric(watched), "valid", points(watched))]
    size = math.ceil(len(steps) / MAX_POINTS)
    return Training(
        loss=curve_chart(losses, label="Loss over epochs, on training and validation rows", best=mark("loss")),
        metric=curve_chart(metric, label=f"{wording.metric(watched)} on the validation rows", best=mark(watched)),
        metric_name=wording.metric(watched),
        facts=tuple(_facts(view.model, view.base, steps, watched)),
        settings=tuple(_settings(view.settings)),
        thinned=f"Each point of the training loss is the mean of {size} records." if size > 1 else "",
    )


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _number(value: Any) -> float:
    """The value as a number to draw; nan where there is none."""
    return float(value) if wording.is_number(value) else math.nan


def _facts(
    model: Mapping[str, Any], base: Mapping[str, Any], steps: list[dict[str, Any]], watched: str
) -> list[tuple[str, str]]:
    rates = [line["lr"] for line in steps if wording.is_number(line.get("lr"))]
    size = f"{base['num_parameters'] / 1e6:,.1f} M parameters"
    best = f"{wording.metric(watched)} {wording.number(model['best'])} on validation"
    policy = str(model["length"]["policy"]).replace("_", " ")
    return [
        ("Base model", f"{base['name']} ({base['model_type']}, {base['num_layers']} layers, {size}){_adapted(base)}"),
        ("Trained", f"{model['trainable']}: {wording.count(model['num_trained_parameters'])} parameters"),
        ("Training rows", wording.count(model["rows"])),
        ("Steps", f"{wording.count(model['steps'])} in {model['epochs']:g} epochs"),
        ("Ended", str(model["stopped"])),
        ("Best checkpoint", f"step {wording.count(model['best_step'])}, {best}"),
        ("Peak learning rate", f"{max(rates):.3g}" if rates else wording.NOT_MEASURED),
        ("Arithmetic", str(model["precision"])),
        ("Longest text", f"{wording.count(model['length']['max_tokens'])} tokens ({policy})"),
        ("Cut off", _cut(model)),
    ]


def _adapted(base: Mapping[str, Any]) -> str:
    """The rows of text that the base was pre-trained on with, phase by phase, where it was."""
    read = [wording.count(one["rows"]) for one in base.get("adapted", ())]
    return f", pre-trained on with {' and '.join(read)} rows of text" if read else ""


def _cut(model: Mapping[str, Any]) -> str:
    """What the length policy took from the training rows."""
    words = []
    if model.get("truncated_rows"):
        tokens = wording.counted(model["num_truncated_tokens"], "token")
        words.append(f"{wording.counted(model['truncated_rows'], 'training row')} lost {tokens}")
    if model.get("dropped_rows"):
        words.append(f"{wording.counted(model['dropped_rows'], 'training row')} dropped")
    return "; ".join(words) or "nothing"


def _settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every setting of the train step by its dotted name."""
    found: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found += [(f"{name}.{key}", text) for key, text in _settings(value)]
        else:
            found.append((name, "none" if value is None else json.dumps(value, ensure_ascii=False).strip('"')))
    return found
