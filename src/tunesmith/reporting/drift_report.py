"""The page of a check: what changed, two distributions for each test, and the strangest texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.reporting.charts.distributions import bars_of, histogram_of
from tunesmith.reporting.page import environment
from tunesmith.reporting.wording import MINUS, count, counted, excerpt, metric, moment, number, share, span
from tunesmith.store.files import write_bytes

if TYPE_CHECKING:
    from markupsafe import Markup

NAMES = {
    "characters": ("Length in characters", "how long the texts are"),
    "tokens": ("Length in tokens", "how long the model finds them"),
    "unseen_words": ("Unseen words", "share of a text's words that no training text has"),
    "uppercase": ("Capital letters", "share of a text's characters"),
    "digits": ("Digits", "share of a text's characters"),
    "punctuation": ("Punctuation", "share of a text's characters, symbols too"),
    "other_letters": ("Letters beyond a–z", "share of a text's characters"),
    "language": ("Language", "told where a text is long enough"),
    "embedding": ("Meaning", "vectors in the model's own space; drawn: how alike the nearest known text is"),
    "labels": ("Predicted labels", "what the model answers"),
    "one_label": ("One label", "the one that came more, or more rarely, than before"),
    "confidence": ("Confidence", "probability of the answer"),
    "predicted": ("Predicted values", "what the model answers"),
}
LIMITS = {"latency_p95_ms": "Latency", "failed": "Failed requests"}
WORDS = {"changed": "changed", "too small to matter": "too small to matter", "not shown": "no change shown"}


@dataclass(frozen=True)
class DriftView:
    """Everything the page shows, as plain values."""

    model: str
    checked: str
    since: str | None
    file: str | None
    rows: Mapping[str, int]
    facts: Mapping[str, Any] | None
    """Of the ``report`` artifact of stage `drift`; None where there were no rows."""
    causes: Sequence[Mapping[str, Any]]
    traffic: Mapping[str, Any] | None
    strangest: Path | None
    notes: Sequence[str]
    before: Sequence[Mapping[str, Any]] = ()
    """Earlier checks, the newest first: `at`, `file`, `rows`, `is_tested`, names of `causes`, `score`."""


@dataclass(frozen=True)
class Line:
    """One line of the table, and its picture."""

    name: str
    means: str
    verdict: str
    kind: str
    """Class of the style sheet: worse, not-shown, open."""
    effect: str
    adjusted: str
    method: str
    rows: str
    why: str
    chart: Markup | None


def write_drift_report(view: DriftView, path: Path) -> None:
    """Write the page; equal views give equal bytes."""
    write_bytes(path, render(view).encode("utf-8", "replace"))


def render(view: DriftView) -> str:
    """The page as HTML."""
    from markupsafe import Markup

    templates = resources.files("tunesmith.reporting") / "templates"
    style = "".join((templates / name).read_text("utf-8") for name in ("style.css", "drift.css"))
    tests = [_row(one) for one in (view.facts or {}).get("tests", ())]
    return (
        environment()
        .get_template("drift.html.j2")
        .render(
            view=view,
            style=Markup(style),
            headline=_headline(view, tests),
            lead=_lead(view),
            is_bad=bool(view.causes),
            is_open=not view.causes and not any(one.kind != "open" for one in tests),
            tests=tests,
            scores=_scores(view.facts),
            score_words=_score_words(view.facts),
            traffic=_traffic(view.traffic),
            strangest=_strangest(view.strangest),
            limits=_limits(view.facts),
            before=[_earlier(one) for one in view.before],
        )
    )


def _earlier(one: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """An earlier check: when, of what, how many texts, what it found, its score."""
    names = [LIMITS.get(name) or (NAMES.get(name) or (metric(name), ""))[0] for name in one["causes"]]
    score = f"{metric(one['score']['metric'])} {number(one['score']['value'])}" if one["score"] else ""
    found = ", ".join(names) or ("no change shown" if one["is_tested"] else "not enough rows to tell")
    return moment(one["at"]), one["file"] or "captured", count(one["rows"]), found, score


def _headline(view: DriftView, tests: Sequence[Line]) -> str:
    if view.causes:
        return f"Alert: {counted(len(view.causes), 'reason')}"
    if not any(one.kind != "open" for one in tests):
        return "Not enough rows to tell"
    return "No change shown"


def _lead(view: DriftView) -> str:
    looked = counted(view.rows.get("looked_at", 0), "text")
    where = f"of {view.file}" if view.file else f"captured since {moment(view.since)}" if view.since else ""
    return f"{view.model}: {looked} {where}, checked on {moment(view.checked)}."


def _limits(facts: Mapping[str, Any] | None) -> str:
    if facts is None:
        return ""
    chance = f"{100 * facts['alert_at']:g} %"
    words = (
        f"Where nothing changed, a check gives an alert with a chance of {chance}, over all its tests together (Holm)."
    )
    ratio = f"one label must be given {facts['min_ratio']:g} times as often, or as rarely"
    return f"{words} Effects below {facts['min_effect']:g} give none; {ratio}."


def _row(one: Mapping[str, Any]) -> Line:
    name, means = NAMES.get(one["name"], (None, ""))
    if name is None:
        name = metric(one["name"]) if one["group"] == "performance" else one["name"].capitalize()
        means = "against the release's test rows" if one["group"] == "performance" else ""
    is_told = one["adjusted"] is not None
    kind = "worse" if one["is_alert"] else "not-shown" if is_told else "open"
    verdict = one["verdict"] if one["is_alert"] or one["verdict"] != "changed" else "better"
    return Line(
        name=name,
        means=means,
        verdict=WORDS.get(verdict, verdict),
        kind=kind,
        effect=number(one["effect"]) if is_told else "",
        adjusted=_p(one["adjusted"]) if is_told else "",
        method=one["method"],
        rows=f"{count(one['num_window'])} / {count(one['num_reference'])}",
        why=one["why"],
        chart=_chart(name, one["picture"]),
    )


def _chart(name: str, picture: Mapping[str, Any] | None) -> Markup | None:
    if picture is None:
        return None
    if "edges" in picture:
        return histogram_of(picture["edges"], picture["reference"], picture["window"], label=f"{name}: two histograms")
    return bars_of(picture["names"], picture["reference"], picture["window"], label=f"{name}: shares")


def _scores(facts: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    found = (facts or {}).get("performance", {}).get("scores", ())
    return [
        (
            metric(one["metric"]),
            number(one["value"]),
            span(one),
            number(one["test_value"]),
            span({"low": one["test_low"], "high": one["test_high"]}),
            number(one["difference"], signed=True),
            one["verdict"],
        )
        for one in found
    ]


def _score_words(facts: Mapping[str, Any] | None) -> str:
    told = (facts or {}).get("performance")
    if not told:
        return ""
    if told.get("why"):
        return str(told["why"]).capitalize() + "."
    words = [f"{counted(told['rows'], 'row')} with a true label."]
    if told.get("unknown_labels"):
        words.append(f"{count(told['unknown_labels'])} of them have a label that the model does not know: all wrong.")
    if told.get("rejected"):
        words.append(f"{count(told['rejected'])} more were rejected by the model, and are not in these scores.")
    words.append("Labels that people send back are rarely a fair draw: corrections come more often than praise.")
    if told.get("scores"):
        words.append("Each score is judged by itself here; whether to alert, by all tests together.")
    return " ".join(words)


def _traffic(traffic: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if traffic is None:
        return []
    shown = [(f"requests {name}", count(value)) for name, value in traffic["requests"].items()]
    shown += [
        (f"share {name}", share(traffic[f"{name}_share"]))
        for name in ("failed", "refused")
        if sum(traffic["requests"].values())
    ]
    return shown + [(f"latency {name}", f"{value:,.1f} ms") for name, value in traffic["latency_ms"].items()]


def _strangest(path: Path | None) -> list[dict[str, str]]:
    import polars as pl

    if path is None or not path.is_file():
        return []
    return [
        {"text": excerpt(one["text"]), "nearest": excerpt(one["nearest_text"]), "alike": number(one["nearest"])}
        for one in pl.read_parquet(path).iter_rows(named=True)
    ]


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}" if value < 0.1 else f"{value:.2f}".replace("-", MINUS)
