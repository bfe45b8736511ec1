"""Queries that only read: one SELECT, checked before any database sees it."""

from __future__ import annotations

import re

from tunesmith.core.errors import RecipeError

# Quoted text and comments first, so that words inside them are not taken for the query's own. `/*!` is MySQL's comment
# that is executed, so it counts as text.
_TOKENS = r"""
      (?P<comment> --[^\n]* | /\*(?!!).*?\*/ )
    | (?P<quoted> 'STRING' | "(?:[^"]|"")*" | `[^`]*` | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<end> ; )
    | (?P<other> \S )
"""
# A backslash escapes a quote in some databases and not in others: the query must be harmless read either way.
_READINGS = [
    re.compile(_TOKENS.replace("STRING", string), re.VERBOSE | re.DOTALL)
    for string in (r"(?:[^']|'')*", r"(?:[^'\\]|\\.|'')*")
]
WRITING_WORDS = frozenset({"insert", "update", "delete", "merge", "into"})
"""The words by which a statement that begins like a query can still change data or take locks."""


def check(query: str) -> str:
    """The query without a closing semicolon, once it is known to be a single SELECT or WITH … SELECT.

    Raises: RecipeError.
    """
    checked = [_check(query, reading) for reading in _READINGS]
    return min(checked, key=len)


def _check(query: str, reading: re.Pattern[str]) -> str:
    found = [match for match in reading.finditer(query) if not match["comment"]]
    while found and found[-1]["end"]:
        query = query[: found.pop().start()].rstrip()
    if not found:
        raise _refusal("the query is empty", query)
    if any(match["end"] for match in found):
        raise _refusal("the query holds several statements", query)
    first = next((match for match in found if match.group() != "("), found[0])
    if (first["word"] or "").lower() not in ("select", "with"):
        raise _refusal("the query is not a SELECT", query)
    for match, after in zip(found, [*found[1:], None], strict=True):
        # MySQL's insert(…) is a function on text.
        is_call = after is not None and after.group() == "("
        if (match["word"] or "").lower() in WRITING_WORDS and not is_call:
            raise _refusal(f"the query would change data (`{match.group()}`)", query)
    return query


def _refusal(what: str, query: str) -> RecipeError:
    return RecipeError(
        f"{what}: a source only reads",
        seen=query.strip()[:200] or "nothing",
        allowed="one SELECT statement (WITH … SELECT is one too); a column called like a command must be in quotes",
        next="correct `query`, or name a `table`",
    )
