"""How a run ended, as a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.tables import STYLES, table

if TYPE_CHECKING:
    from tunesmith.lifecycle.run import RunResult

WORDS = {"better": "BETTER than", "not shown": "NOT SHOWN to be better than", "worse": "WORSE than"}


def shown(result: RunResult, screen: Screen) -> list[RenderableType]:
    """Metrics beside the baselines, the gate's checks, where the report is, the verdict and the next command."""
    rows = result.rows
    lost = f"{rows['removed']:,} removed, {rows['quarantined']:,} quarantined"
    lines: list[RenderableType] = [_scores(result), *map(_comparison, result.comparisons), *_checks(result)]
    lines.append(Text(f"\nrows     {rows['read']:,} read, {rows['kept']:,} kept, {lost}", "dim"))
    lines.append(Text(f"run      {result.run}, {figures.seconds(result.seconds)}", "dim"))
    lines.append(Text(f"report   {result.report}"))
    lines.append(Text.assemble("model    ", (result.model or "–", "bold")))
    lines.append(_verdict(result))
    if result.status in ("waiting", "denied"):
        decide = screen.command("approve", result.run, "--reason", "TEXT")
        who = "releases it" if result.status == "waiting" else "releases it all the same, by exception"
        lines.append(Text.assemble("approve  ", (decide, "bold"), f"  an approver {who}"))
    if result.model is not None:
        next_one = screen.command("predict", result.model, "yours.csv", "--out", "answers.csv")
        lines.append(Text.assemble("next     ", (next_one, "bold")))
    return lines


def _scores(result: RunResult) -> Table:
    names = list(result.baselines)
    scores = table("metric", "model [interval]", *names)
    for metric, value in figures.main_metrics(result.metrics["test"]).items():
        others = [figures.interval(result.baselines[name].get(metric)) for name in names]
        scores.add_row(metric, Text(figures.interval(value), "bold"), *others)
    return scores


def _comparison(one: object) -> Text:
    assert isinstance(one, dict)
    words = (
        f"{one['metric']} {one['difference']:+.3f} against {one['against']} "
        f"[{one['low']:+.3f}, {one['high']:+.3f}], {figures.p_value(one['p_value'])}, {one['num_rows']:,} rows: "
    )
    more = ""
    if one["verdict"] == "not shown" and one["smallest_detectable"] is not None:
        more = f" (so many rows show differences from {figures.score(one['smallest_detectable'])} on)"
    return Text.assemble(words, (one["verdict"], STYLES.get(one["verdict"], "")), (more, "dim"))


def _checks(result: RunResult) -> list[Text]:
    marks = {True: ("✓ ", "green"), False: ("✗ ", "red")}
    checks = result.gate["checks"]
    if not checks:
        return [Text("gate     asks for nothing", "dim")]
    return [Text.assemble(marks[one["passed"]], f"gate: {figures.shown(one['words'], 300)}") for one in checks]


def _verdict(result: RunResult) -> Text:
    stays = f", but {result.why}" if result.status == "done" and result.why else ""
    if result.approval is not None:
        ending = f": {result.approval['words']}{stays}"
    elif result.status == "denied":
        ending = ": not released, the gate said no"
    elif result.status == "waiting":
        ending = f": not released, {result.why}" if result.why else ": waiting for approval by another"
    elif result.model is not None and not result.model.startswith("run:"):
        ending = f": released as {result.model}{stays}"
    else:
        ending = ": evaluated, not released"
    against = dict.fromkeys(one["against"] for one in result.comparisons if one["verdict"] == result.verdict)
    words = f"{WORDS.get(result.verdict, result.verdict)} {', '.join(against) or 'anything: nothing was compared'}"
    return Text.assemble("verdict  ", (words, STYLES.get(result.verdict, "bold")), ending)
