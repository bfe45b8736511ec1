"""``tunesmith models``: what was released, what is known of one model, and which pre-trained ones suit some rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import RenderableType
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.tables import table, verdict
from tunesmith.cli.verb import verb
from tunesmith.core.errors import RecipeError
from tunesmith.core.tasks import is_language

if TYPE_CHECKING:
    from tunesmith.lifecycle.model_card import ModelCard

COLUMNS = ("aliases", "verdict", "measured on its test rows", "run", "created, UTC")
What = Annotated[
    Literal["list", "show", "suggest"],
    typer.Argument(
        help="list: the released models; show: one model's card; suggest: pre-trained models for some rows."
    ),
]
Subject = Annotated[
    str | None,
    typer.Argument(
        help="show: name@alias, name@version, name or run:ID; suggest: a recipe, or a file of rows.",
        metavar="MODEL|FILE",
        show_default=False,
    ),
]
Task = Annotated[
    Literal["classify", "regress"] | None,
    typer.Option(
        "--task", help="suggest: what a table's rows are for. Default: told by its columns.", show_default=False
    ),
]


@verb
def models(screen: Screen, what: What = "list", subject: Subject = None, task: Task = None) -> None:
    """List the released models, show the card of one, or suggest pre-trained models for some rows."""
    if what == "list":
        if subject is not None:
            raise RecipeError("`models list` takes no name", seen=subject, next=f"tunesmith models show {subject}")
        return _list(screen)
    if subject is None:
        example = "support@production" if what == "show" else "recipe.yaml"
        raise RecipeError(f"`models {what}` needs to know of what", next=f"tunesmith models {what} {example}")
    return _show(screen, subject) if what == "show" else _suggest(screen, subject, task)


def _list(screen: Screen) -> None:
    from tunesmith import api

    found = api.models(**screen.where)
    shown = table("model", "version", *COLUMNS, words=COLUMNS)
    for one in found:
        score = {"value": one.value, "low": one.low, "high": one.high}
        measured = "–" if one.value is None else f"{one.metric} {figures.interval(score)}"
        created = one.created[:16].replace("T", " ")
        aliases = ", ".join(one.aliases) or "–"
        told = verdict(one.verdict or "–")
        if one.approval is not None and one.approval["kind"] == "exception":
            told = Text.assemble(told, (" by exception", "bold red"))
        if one.stale:
            told = Text.assemble(told, (" stale", "bold red"))
        shown.add_row(one.name, str(one.version), aliases, told, measured, one.run or "–", created)
    nothing = Text(f"no model is released yet; {screen.command('run', 'recipe.yaml')} releases one")
    screen.result([one.to_dict() for one in found], shown if found else nothing)


def _show(screen: Screen, reference: str) -> None:
    from tunesmith import api

    card = api.model_card(reference, **screen.where)
    parts: list[Callable[[ModelCard], list[RenderableType]]] = [_head, _data, _scores, _lineage]
    screen.result(card.to_dict(), *(shown for part in parts for shown in part(card)))


def _head(card: ModelCard) -> list[RenderableType]:
    version = card.version
    released = "not released"
    if version is not None:
        aliases = ", ".join(version["aliases"]) or "no alias"
        released = f"version {version['version']} ({aliases}), {version['created'][:16].replace('T', ' ')}"
    labels = f"{'any' if card.task == 'tag' else 'one'} of {card.labels} labels"
    answers = labels if card.labels else "text" if is_language(card.task) else "a number"
    base, trained = card.base, card.trained
    size = f", {base['num_parameters'] / 1e6:.1f} M parameters" if "num_parameters" in base else ""
    how = f"{trained['trainable']} on {figures.count(trained['rows'], 'row')}, {trained['epochs']:g} epochs"
    return [
        Text.assemble((figures.shown(card.reference), "bold"), f"  {card.task}: {answers} · {released}"),
        _line("verdict", verdict((version or {}).get("verdict") or card.gate.get("verdict") or "not evaluated")),
        *_approval(version),
        *_stale(card),
        _line("base", f"{figures.shown(base['name'])}{size}"),
        *(_line("", f"pre-trained on with {one['rows']:,} rows of text") for one in base.get("adapted", ())),
        _line("trained", f"{how}, seed {card.lineage['seed']}, {trained['precision']}"),
        _line("size", f"{figures.size(card.size_bytes)} on disk"),
    ]


def _approval(version: Mapping[str, Any] | None) -> list[RenderableType]:
    word = (version or {}).get("approval")
    style = "bold red" if word and word["kind"] == "exception" else ""
    return [_line("released", Text(figures.shown(word["words"], 300), style))] if word else []


def _stale(card: ModelCard) -> list[RenderableType]:
    num = len((card.version or {}).get("stale") or ())
    is_named = "@" in card.reference and not is_language(card.task)
    anew = f"tunesmith retrain {figures.shown(card.reference)}" if is_named else "run its recipe again"
    words = f"it learned from rows of {figures.count(num, 'person', 'people')} erased since: {anew}"
    return [_line("stale", Text(words, "bold red"))] if num else []


def _data(card: ModelCard) -> list[RenderableType]:
    if not card.data:
        return [_line("data", "its run's rows are gone")]
    splits = " · ".join(f"{name} {number:,}" for name, number in card.data["splits"].items())
    lines: list[RenderableType] = [
        _line(
            "source",
            f"{figures.shown(one['source'])}: {figures.count(one['rows'], 'row')}, purpose "
            f"{figures.shown(one['purpose'])}, licence {figures.shown(one['licence'])}",
        )
        for one in card.data["sources"]
    ]
    return [*lines, _line("rows", splits)]


def _scores(card: ModelCard) -> list[RenderableType]:
    if not card.scores:
        return [_line("scores", "not measured: its run was not evaluated")]
    made = table("on its test rows", "value [interval]")
    for name, score in figures.main_metrics(card.scores).items():
        made.add_row(name, figures.interval(score))
    lines: list[RenderableType] = [made]
    for one in card.verdicts:
        interval = f"[{one['low']:+.3f}, {one['high']:+.3f}]"
        words = f"{one['metric']} {one['difference']:+.3f} against {one['against']} {interval}: "
        lines.append(Text.assemble(words, verdict(one["verdict"])))
    return lines + [Text(f"not measured: {name}: {why}", "dim") for name, why in card.not_measured.items()]


def _lineage(card: ModelCard) -> list[RenderableType]:
    versions = ", ".join(f"{name} {number}" for name, number in card.lineage["versions"].items())
    return [
        Text(),
        _line("run", card.lineage["run"]),
        _line("report", card.lineage["report"] or "gone"),
        _line("digest", card.digest),
        _line("made from", ", ".join(one[:12] for one in card.lineage["parents"])),
        _line("made with", versions),
    ]


def _line(name: str, words: str | Text) -> Text:
    return Text.assemble((f"{name:<12}", "bold"), "  ", words)


def _suggest(screen: Screen, subject: str, task: str | None) -> None:
    from tunesmith import api

    with screen.working() as work:
        found = api.suggest(Path(subject), task, listener=work.listener, cancel=work.cancel, **screen.where)
    shown = table("model", "parameters", "reads", "languages", "licence", "training", "memory", "good for")
    for one in found:
        memory = figures.size(one.train_bytes) + ("" if one.fits else ", more than is free")
        reads = f"{one.max_tokens:,}" + (f", cuts ≤ {one.too_long_at_most:.0%}" if one.too_long_at_most else "")
        shown.add_row(
            one.name,
            f"{one.parameters_m:g} M",
            reads,
            one.languages,
            one.licence,
            f"about {figures.seconds(one.train_s)}",
            memory,
            one.good_for,
            style="" if one.model is not None else "dim",
        )
    fetch = [Text(f"not here: {one.name} ({one.fetch})", "dim") for one in found if one.model is None]
    here = [one.model for one in found if one.model is not None]
    words = "`model: auto` ranks those that are here on your rows" if len(here) > 1 else "fetch another to rank it"
    screen.result([one.to_dict() for one in found], shown, *fetch, Text(f"next: {words}", "bold"))
