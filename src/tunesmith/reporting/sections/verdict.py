"""The first thing a reader sees: is it better than what costs nothing, how sure is that, and was it released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.metrics import table
from tunesmith.reporting import wording
from tunesmith.reporting.charts.intervals import Bar, IntervalChart, interval_chart
from tunesmith.reporting.view import RunView

KINDS = {"better": "better", "not shown": "not-shown", "worse": "worse"}
MARKS = {"better": "✓", "not shown": "?", "worse": "✗"}


@dataclass(frozen=True)
class Verdict:
    """The verdict in words and charts."""

    kind: str
    """Class of the style sheet: better, not-shown, worse."""
    mark: str
    headline: str
    release: str
    release_kind: str
    """Class of the style sheet: released, denied, open."""
    sentences: tuple[str, ...]
    failed: tuple[str, ...]
    """The checks of the gate that do not hold, in words."""
    metric: str
    direction: str
    scores: IntervalChart | None
    differences: IntervalChart | None


def verdict_of(view: RunView) -> Verdict:
    """The verdict of a run."""
    gate = view.report["gate"]
    release, release_kind = _release(view)
    primary = view.report["primary"]
    return Verdict(
        kind=KINDS.get(gate["verdict"], "not-shown"),
        mark=MARKS.get(gate["verdict"], "?"),
        headline=_headline(view),
        release=release,
        release_kind=release_kind,
        sentences=(*_score(view), *_differences(view), *_gate_words(gate)),
        failed=tuple(check["words"] for check in gate["checks"] if not check["passed"]),
        metric=wording.metric(primary),
        direction="higher is better" if is_higher_better(primary) else "lower is better",
        scores=_score_chart(view, primary),
        differences=_difference_chart(on_primary(view)),
    )


def is_higher_better(metric: str) -> bool:
    """Whether more of a metric is better."""
    known = table.METRICS.get(metric)
    return known is None or known.higher_is_better


def on_primary(view: RunView) -> list[Mapping[str, Any]]:
    """The comparisons by the primary metric, one a baseline, the strongest baseline first."""
    primary = view.report["primary"]
    seen: dict[str, Mapping[str, Any]] = {}
    for one in view.report["comparisons"]:
        if one["metric"] == primary:
            seen.setdefault(one["against"], one)
    sign = 1 if is_higher_better(primary) else -1
    return sorted(seen.values(), key=lambda one: (sign * one["difference"], one["against"]))


def judged(view: RunView) -> list[Mapping[str, Any]]:
    """The comparisons that the verdict rests on: those the gate asks for, else those by the primary metric."""
    asked = {check["criterion"] for check in view.report["gate"]["checks"]}
    named = [one for one in view.report["comparisons"] if f"{one['metric']} better than {one['against']}" in asked]
    strength = {one["against"]: place for place, one in enumerate(on_primary(view))}
    return sorted(named, key=lambda one: strength.get(one["against"], len(strength))) or on_primary(view)


def _headline(view: RunView) -> str:
    verdict, rests_on = view.report["gate"]["verdict"], judged(view)
    primary = view.report["primary"]

    def names(wanted: str) -> str:
        found = [one for one in rests_on if one["verdict"] == wanted]
        texts = [
            wording.baseline(one["against"])
            + ("" if one["metric"] == primary else f" by {wording.metric(one['metric'])}")
            for one in found
        ]
        return wording.listed(list(dict.fromkeys(texts)), "or" if wanted == "not shown" else "and")

    if verdict == "better":
        num = len({one["against"] for one in rests_on})
        is_all = num > 2 and num == len(view.report["baselines"])
        return f"Better than all {num} baselines" if is_all else f"Better than {names('better')}"
    if verdict == "worse":
        return f"Worse than {names('worse')}"
    against = names("not shown")
    return f"Not shown to be better than {against}" if against else "Not shown to be better"


def _release(view: RunView) -> tuple[str, str]:
    word = view.approval
    if view.reference is not None:
        version = "" if view.version is None else f", version {view.version}"
        if word is None:
            return f"Released as {view.reference}{version}", "released"
        who = f"{word['by']}: {wording.excerpt(word['reason'])}"
        if word["kind"] == "exception":
            return f"Released by exception as {view.reference}{version}, against the gate, by {who}", "denied"
        return f"Released as {view.reference}{version}, approved by {who}", "released"
    if word is not None and word["decision"] == "refused":
        return f"Not released: refused by {word['by']}: {wording.excerpt(word['reason'])}", "denied"
    if view.status == "waiting":
        return f"Waiting for approval: tunesmith approve {view.run_id} --reason TEXT", "open"
    if view.status == "denied":
        return "Not released: the gate denied it", "denied"
    return "Not released: this run was asked to evaluate only", "open"


def _score(view: RunView) -> list[str]:
    primary = view.report["primary"]
    name = wording.metric(primary)
    rows = wording.counted(view.report["num_rows"], "test row")
    if "rows_of" in view.report:
        rows = wording.counted(view.report["rows_of"][primary], "test prompt")
    score = view.report["metrics"]["test"].get(primary)
    if score is None or not wording.is_number(score.get("value")):
        why = view.report.get("not_measured", {}).get(primary, "it has no value on these rows")
        return [f"{name} was not measured on {rows}: {why}."]
    sure = f"{wording.share(view.confidence)} interval {wording.span(score)}"
    return [f"{name} is {wording.number(score['value'])} ({sure}) on {rows} that training never saw."]


def _differences(view: RunView) -> list[str]:
    """What the comparisons by the primary metric say, those not asked for by the gate as well."""
    sentences = []
    for verdict, text in (
        ("worse", "That is worse than what costs next to nothing: {}."),
        ("better", "That is {}."),
        ("not shown", "No difference is shown {}."),
    ):
        joined = wording.listed([_difference(one) for one in on_primary(view) if one["verdict"] == verdict])
        if joined:
            sentences.append(text.format(joined))
    return sentences


def _difference(one: Mapping[str, Any]) -> str:
    size, name = wording.number(one["difference"], signed=True), wording.baseline(one["against"])
    if one["verdict"] == "not shown":
        return f"against {name} ({size}, interval {wording.span(one, signed=True)}{_chance(one)})"
    return f"{size} against {name}"


def _chance(one: Mapping[str, Any]) -> str:
    """The p-value, where it alone keeps a difference from being shown."""
    if one["low"] > 0 or one["high"] < 0:
        return f", p = {one['p_value']:.2g}"
    return ""


def _gate_words(gate: Mapping[str, Any]) -> list[str]:
    num, held = len(gate["checks"]), sum(check["passed"] for check in gate["checks"])
    if not num:
        return ["The gate asked for nothing."]
    if held == num:
        return ["The one check of the gate holds." if num == 1 else f"All {num} checks of the gate hold."]
    return [
        f"{num - held} of {wording.counted(num, 'check')} of the gate {'does' if num - held == 1 else 'do'} not hold:"
    ]


def _score_chart(view: RunView, primary: str) -> IntervalChart | None:
    everyone = {"": view.report["metrics"]["test"], **view.report["baselines"]}
    measured = {
        name: scores[primary]
        for name, scores in everyone.items()
        if primary in scores and all(wording.is_number(scores[primary].get(end)) for end in ("value", "low", "high"))
    }
    sign = -1 if is_higher_better(primary) else 1
    order = sorted(measured, key=lambda name: (name != "", sign * measured[name]["value"], name))
    own = f"{wording.model_name(view.base['name'])}, {view.model['trainable']} trained"
    bars = [
        Bar(
            name=wording.baseline(name) if name else "This model",
            means=wording.baseline_means(name) if name else own,
            value=measured[name]["value"],
            low=measured[name]["low"],
            high=measured[name]["high"],
            kind="baseline" if name else "model",
            text=wording.number(measured[name]["value"]),
            note=wording.span(measured[name]),
        )
        for name in order
    ]
    return interval_chart(bars) if bars else None


def _difference_chart(comparisons: Sequence[Mapping[str, Any]]) -> IntervalChart | None:
    bars = [
        Bar(
            name=wording.baseline(one["against"]),
            means=one["verdict"] + (_chance(one) if one["verdict"] == "not shown" else ""),
            value=one["difference"],
            low=one["low"],
            high=one["high"],
            kind=KINDS[one["verdict"]],
            text=wording.number(one["difference"], signed=True),
            note=wording.span(one, signed=True),
        )
        for one in comparisons
    ]
    return interval_chart(bars, zero=True) if bars else None
