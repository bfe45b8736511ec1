"""``tunesmith compare``: is one model better than another, and how sure is that?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.tables import table, verdict
from tunesmith.cli.verb import verb

if TYPE_CHECKING:
    from tunesmith.lifecycle.compare import ModelComparison

KINDS = "name@alias, name@version or run:ID."


@verb
def compare(
    screen: Screen,
    a: Annotated[str, typer.Argument(help=f"The model that may be better: {KINDS}", metavar="A")],
    b: Annotated[str, typer.Argument(help=f"The model to compare it with: {KINDS}", metavar="B")],
    confidence: Annotated[float, typer.Option("--confidence", help="Of the verdicts.", min=0.5, max=0.999)] = 0.95,
) -> None:
    """Compare two models, row by row, on the test rows they share."""
    from tunesmith import api

    compared = api.compare(a, b, confidence=confidence, **screen.where)
    screen.result(compared.to_dict(), *_shown(compared))


def _shown(compared: ModelComparison) -> list[RenderableType]:
    rows = compared.rows
    scores = table("metric", compared.a, compared.b, "difference", "", "verdict")
    for metric, one in figures.main_metrics(compared.metrics).items():
        difference = figures.interval({"value": one["difference"], "low": one["low"], "high": one["high"]})
        a, b = figures.interval(one["a"]), figures.interval(one["b"])
        scores.add_row(metric, a, b, difference, figures.p_value(one["p_value"]), verdict(one["verdict"]))
    only = f"{rows['shared']:,} shared test rows"
    if rows["shared"] < max(rows["a"], rows["b"]):
        only += f" (of {rows['a']:,} and {rows['b']:,})"
    ending = Text.assemble(f"{compared.a} against {compared.b}, by {compared.primary}: ", verdict(compared.verdict))
    lines: list[RenderableType] = [Text(only), scores, ending]
    primary = compared.metrics.get(compared.primary, {})
    if compared.verdict == "not shown" and primary.get("smallest_detectable"):
        seen = figures.score(primary["smallest_detectable"])
        lines.append(Text(f"so many rows could have shown a difference of {seen} or more", "dim"))
    return lines + [Text(f"{name}: {why}", "yellow") for name, why in compared.not_measured.items()]
