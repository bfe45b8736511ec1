"""How well a language model predicts: by source, and on general text before and after training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting import wording
from tunesmith.reporting.charts.intervals import Bar, IntervalChart, interval_chart
from tunesmith.reporting.view import RunView


@dataclass(frozen=True)
class SourceLoss:
    """What was scored of one source."""

    source: str
    rows: str
    tokens: str
    bits: tuple[str, ...]
    """Bits per byte by predictor, the model first."""
    loss: str


@dataclass(frozen=True)
class LanguageLoss:
    """The loss of a language run."""

    predictors: tuple[str, ...]
    sources: tuple[SourceLoss, ...]
    notes: tuple[str, ...]
    """Rows that were not written or not scored, with the reason."""
    forgetting: str
    chart: IntervalChart | None


def language_loss_of(view: RunView) -> LanguageLoss | None:
    """The loss by source, and what was forgotten; None for other tasks."""
    sources: Mapping[str, Any] | None = view.report.get("by_source")
    if sources is None:
        return None
    names = list(next(iter(sources.values()))["predictors"]) if sources else []
    rows = [
        SourceLoss(
            source=source,
            rows=wording.count(one["rows"]),
            tokens=wording.count(one["tokens"]),
            bits=tuple(wording.number(one["predictors"][name]["bits_per_byte"]) for name in names),
            loss=wording.number(one["predictors"]["model"]["loss"]),
        )
        for source, one in sources.items()
    ]
    prompts = view.report["prompts"]
    notes = [f"{wording.counted(num, 'row')}: {why}" for why, num in view.report["notes"].items()]
    if left := prompts["all"] - prompts["measured"]:
        notes.append(
            f"{wording.counted(left, 'prompt')} of {wording.count(prompts['all'])} not measured, to bound the time"
        )
    words, chart = _forgetting(view)
    return LanguageLoss(
        predictors=tuple("This model" if name == "model" else wording.baseline(name) for name in names),
        sources=tuple(rows),
        notes=tuple(notes),
        forgetting=words,
        chart=chart,
    )


def _forgetting(view: RunView) -> tuple[str, IntervalChart | None]:
    facts: Mapping[str, Any] | None = view.report.get("forgetting")
    if facts is None:
        why = view.report["not_measured"].get("forgetting", "nothing in this run measures it")
        return f"Not measured: {why}.", None
    rise = facts["rise"]
    sure = rise["low"] > 0 or rise["high"] < 0
    said = "more" if rise["value"] > 0 else "fewer"
    words = f"General text needs {wording.share(abs(rise['value']))} {said} bits than before training"
    ends = " to ".join(f"{100 * rise[end]:+.1f} %".replace("-", wording.MINUS) for end in ("low", "high"))
    words += f" ({wording.share(view.confidence)} interval {ends})" if sure else f", which is not shown ({ends})"
    size = f"{facts['num_bytes']:,} of {facts['of_bytes']:,} bytes"
    words += f": {wording.counted(facts['num_passages'], 'passage')} of `{facts['source']}`, {size}."
    bars = [
        Bar(
            name=name,
            means=means,
            value=facts[key]["value"],
            low=facts[key]["low"],
            high=facts[key]["high"],
            kind=kind,
            text=wording.number(facts[key]["value"]),
            note=wording.span(facts[key]),
        )
        for key, name, means, kind in (
            ("after", "After", "this model", "model"),
            ("before", "Before", "the untrained base", "baseline"),
        )
    ]
    return words, interval_chart(bars)
