"""``tunesmith audit``: who did what, and whether that record is as it was written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.tables import table
from tunesmith.cli.verb import verb
from tunesmith.core.errors import RecipeError

if TYPE_CHECKING:
    from tunesmith.store.verify_audit import Verified

FAILED = 1
MOST_CHARS = 300
DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
"""Digests are told by their first letters: `--json` has them whole."""
COLUMNS = ("at, UTC", "who", "did", "to", "details")
What = Annotated[
    Literal["list", "verify", "anchor"],
    typer.Argument(
        help="list: the latest entries; verify: whether every entry is as it was written; anchor: vouch for the chain "
        "as it stands, after a backup was brought back."
    ),
]
Rows = Annotated[int, typer.Option("--rows", min=1, help="list: how many of the latest.", metavar="N")]
Target = Annotated[str | None, typer.Option("--target", help="list: what was done to this alone.", show_default=False)]
Reason = Annotated[str | None, typer.Option("--reason", help="anchor: why.", metavar="TEXT", show_default=False)]


@verb
def audit(screen: Screen, what: What = "list", rows: Rows = 50, target: Target = None, reason: Reason = None) -> None:
    """List who did what, verify that nothing of it was changed, moved, taken out or cut off, or anchor it anew."""
    if what == "verify":
        return _verify(screen)
    if what == "anchor":
        return _anchor(screen, reason)
    return _list(screen, rows, target)


def _list(screen: Screen, rows: int, target: str | None) -> None:
    from tunesmith import api

    found = api.audit_entries(last=rows, target=target, **screen.where)
    shown = table("entry", *COLUMNS, words=COLUMNS)
    for one in found:
        at = f"{one.at:%Y-%m-%d %H:%M:%S}"
        details = DIGEST.sub(r"\1…", one.details)
        shown.add_row(str(one.sequence), at, one.actor, one.action, one.target, figures.shown(details, MOST_CHARS))
    screen.result([one.to_dict() for one in found], shown if found else Text("nothing is recorded yet"))


def _verify(screen: Screen) -> None:
    from tunesmith import api

    found = api.audit_verify(**screen.where)
    screen.result(found.to_dict(), *_shown(found, screen.command("audit", "anchor", "--reason", "TEXT")))
    if not found.is_whole:
        raise typer.Exit(FAILED)


def _shown(found: Verified, anchor_anew: str) -> list[Text]:
    lines = [Text(f"anchor   {path} vouches for {figures.count(number, 'entry', 'entries')}", "dim")
             for path, number in found.anchors]  # fmt: skip
    if found.num_unanchored and found.anchors:
        words = f"{figures.count(found.num_unanchored, 'entry', 'entries')} behind the anchor: a process was stopped"
        lines.append(Text(f"         {words} before it could anchor; the next entry does", "dim"))
    if found.is_whole:
        return [*lines, Text(f"✓ {figures.count(found.num_entries, 'entry', 'entries')}, all as written", "green")]
    for one in found.problems:
        lines.append(Text.assemble(("✗ ", "red"), (f"{one.kind}: ", "bold"), one.words))
    places = figures.count(len(found.problems), "place")
    lines.append(Text(f"the chain of {figures.count(found.num_entries, 'entry', 'entries')} is broken in {places}"))
    told = "next     compare it with a backup; where what happened is known, it is kept with its reason: "
    return [*lines, Text.assemble(told, (anchor_anew, "bold"))]


def _anchor(screen: Screen, reason: str | None) -> None:
    from tunesmith import api

    if reason is None:
        raise RecipeError("anchoring anew needs its reason", next='tunesmith audit anchor --reason "backup of Monday"')
    entry = api.audit_anchor(reason, **screen.where)
    screen.result(entry.to_dict(), Text(f"the anchors vouch for the chain up to entry {entry.sequence}"))
