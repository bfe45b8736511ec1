"""What is wrong with a recipe: one problem a place, all of them in one error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunesmith.core.errors import RecipeError
from tunesmith.recipe.yaml12 import Path, Place

PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")
SHOWN_CHARS = 100


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and the way out."""

    path: Path
    what: str
    seen: str | None = None
    allowed: str | None = None
    next: str | None = None


def dotted(path: Path) -> str:
    """A path as people write it: ``data.sources[0].path``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def shown(value: object) -> str:
    """A value for an error: short, and without a password."""
    text = PASSWORD.sub(r"\1***@", value if isinstance(value, str) else repr(value))
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def error_of(problems: Sequence[Problem], places: Mapping[Path, Place], name: str) -> RecipeError:
    """One error that shows every problem with its place, in the order of the file."""
    order = {path: number for number, path in enumerate(places)}
    problems = sorted(dict.fromkeys(problems), key=lambda one: order.get(_nearest(one.path, places), len(order)))
    lines = [_located(one, places, name) for one in problems]
    if len(problems) == 1:
        only = problems[0]
        return RecipeError(lines[0], seen=only.seen, allowed=only.allowed, next=only.next)
    blocks = []
    for line, one in zip(lines, problems, strict=True):
        error = RecipeError(line, seen=one.seen, allowed=one.allowed, next=one.next)
        blocks.append(error.render().replace("\n", "\n  "))
    return RecipeError(f"{name}: {len(problems)} problems\n\n  " + "\n\n  ".join(blocks))


def _located(problem: Problem, places: Mapping[Path, Place], name: str) -> str:
    place = places.get(_nearest(problem.path, places))
    return f"{place.where if place else name}: {problem.what}"


def _nearest(path: Path, places: Mapping[Path, Place]) -> Path:
    """The path, or the closest one above it that was written."""
    while path and path not in places:
        path = path[:-1]
    return path
