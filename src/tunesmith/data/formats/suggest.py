"""What to write where the columns of a source are none of a known format: the nearest names, and a mapping of them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence

import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.formats.table import FORMATS, DataFormat, said_as

ASKED = ("request", "user", "customer", "message", "body", "instruction")
ANSWERED = ("reply", "assistant", "agent", "bot", "result", "translation", "reference")
"""What else is asked and answered, where a source has none of the usual names."""
LIKE = 0.6
"""How alike two names must be, from 0 to 1, to be taken for one another: difflib's default."""


def did_you_mean(name: str, known: Sequence[str], otherwise: str) -> str:
    """The nearest known name as a question, or what to do where none is near."""
    same = [one for one in known if one.casefold() == name.casefold()]
    near = same or difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{near[0]}`?" if near else otherwise


def unknown(rows: pl.DataFrame, shapes: Mapping[str, str], config: FormatConfig) -> DataError:
    """The error of a source that has none of the formats."""
    columns = [name for name in rows.columns if name not in LINEAGE]
    return DataError(
        f"source `{config.source}` has none of the known formats",
        seen=f"columns {', '.join(columns)}" if columns else "no columns",
        allowed="; ".join(f"{one.title} ({', '.join(one.needed)})" for one in FORMATS.values()),
        next=_turns_of(rows, shapes) or _mapping(rows, columns),
    )


def lacking(
    rows: pl.DataFrame,
    found: DataFormat,
    absent: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    config: FormatConfig,
) -> DataError:
    """The error of a source that lacks columns of a format."""
    taken = {name for several in columns.values() for name in several}
    free = [name for name in rows.columns if name not in LINEAGE and name not in taken]
    mapping = {role: several[0] for role, several in columns.items()}
    for role in absent:
        if near := _nearest(found.names[role] or (role,), free):
            mapping[role] = near
            free.remove(near)
    words = ", ".join(f"{role}: {mapping.get(role, '..')}" for role in (*columns, *absent))
    optional = ", ".join(role for role in found.names if role not in found.needed)
    return DataError(
        f"source `{config.source}` has no column for `{absent[0]}` of the format `{found.kind}`",
        seen=", ".join(name for name in rows.columns if name not in LINEAGE),
        allowed=", ".join(found.needed) + (f"; may have {optional}" if optional else ""),
        next=f"write {said_as(f'columns: {{{words}}}')}",
    )


def _turns_of(rows: pl.DataFrame, shapes: Mapping[str, str]) -> str:
    """What to write where a column holds lists of turns with other keys."""
    for name, shape in shapes.items():
        if shape != "turns":
            continue
        first = next(cell for cell in rows[name].drop_nulls() if cell.lstrip().startswith("["))
        keys = [key for key, value in json.loads(first)[0].items() if isinstance(value, str)]
        who = _nearest(("role", "from", "speaker", "author", "sender"), keys)
        what = _nearest(("content", "value", "text", "utterance", "message"), [key for key in keys if key != who])
        if who and what:
            section = f"columns: {{messages: {name}}}, keys: {{role: {who}, content: {what}}}"
            return (
                f"`{name}` holds turns: write {said_as(section)}, and under `roles` who is the user and who the "
                "assistant, where their names do not say so"
            )
    return ""


def _mapping(rows: pl.DataFrame, columns: Sequence[str]) -> str:
    """What to write where columns could be a question and its answer."""
    texts = [name for name in columns if rows[name].dtype == pl.String]
    pair = FORMATS["prompt_completion"].names
    completion = _nearest((*pair["completion"], *ANSWERED), texts)
    prompt = _nearest((*pair["prompt"], *ASKED), [name for name in texts if name != completion])
    if not (prompt and completion) and len(texts) == 2:
        # Two texts are a pair, whatever they are called.
        prompt = prompt or next(name for name in texts if name != completion)
        completion = completion or next(name for name in texts if name != prompt)
    if prompt and completion:
        return f"write {said_as(f'columns: {{prompt: {prompt}, completion: {completion}}}')}"
    if prompt or completion or len(texts) == 1:
        alone = prompt or completion or texts[0]
        return (
            f"map the answers beside `{alone}`, as {said_as('columns: {prompt: .., completion: ..}')}; to learn the "
            f"texts as they are, write {said_as(f'columns: {{text: {alone}}}')}"
        )
    return f"write which column is what: {said_as('columns: {prompt: .., completion: ..}')}"


def _nearest(usual: Sequence[str], columns: Sequence[str]) -> str | None:
    """The column whose name is nearest to one of the usual ones."""
    scored = [(max(_likeness(name, known) for known in usual), -place, name) for place, name in enumerate(columns)]
    best = max(scored, default=None)
    return best[2] if best is not None and best[0] >= LIKE else None


def _likeness(name: str, known: str) -> float:
    plain = name.casefold()
    # `user_question` is a question.
    if known in plain.replace("-", "_").split("_"):
        return 0.99
    return difflib.SequenceMatcher(None, plain, known).ratio()
