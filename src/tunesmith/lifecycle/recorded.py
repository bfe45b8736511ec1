"""The recipe that a run began with: in its folder as YAML for people and JSON to compare, its digest in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from tunesmith.core import digests
from tunesmith.core.errors import RecipeError
from tunesmith.recipe import problems, yaml12
from tunesmith.recipe.load import dump, load
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.recipe.yaml12 import Path
from tunesmith.store.files import write_bytes, write_json

RECIPE, PLAIN = "recipe.yaml", "recipe.json"
MOST_SHOWN = 10
"""Differences that are shown one by one."""
_MISSING = object()
Difference = tuple[Path, Any, Any]
"""Where, what it is now, and what it was."""


def digest_of(recipe: AnyRecipe) -> str:
    """What the ledger knows a recipe by: its values, whatever order, spacing and comments they were written with."""
    return digests.of_value(recipe.model_dump(mode="json"))


def record(recipe: AnyRecipe, folder: FilePath) -> None:
    """Write the recipe of a new run."""
    write_json(folder / PLAIN, recipe.model_dump(mode="json"))
    write_bytes(folder / RECIPE, dump(recipe).encode())


def recorded(folder: FilePath, run_id: str, digest: str) -> AnyRecipe:
    """The recipe in a run's folder.

    A key that came with a newer tunesmith is no change: the run had what is now its default.
    Raises: RecipeError where it is not the one that the run began with, with the values that differ.
    """
    path = folder / RECIPE
    if not path.is_file():
        raise RecipeError(f"the run `{run_id}` was stopped before its recipe was written", next="start it again")
    recipe = load(path)
    if digest_of(recipe) == digest:
        return recipe
    before = began_with(folder, digest)
    if before is None:
        seen, back = "what it was is not known any more", ""
    else:
        written = yaml12.read(path.read_text(encoding="utf-8"), str(path)).data
        now = recipe.model_dump(mode="json")
        found = [one for one in differences(now, before) if not _is_newer(one, written)]
        if not found:
            return recipe
        seen = "; ".join(_words(*one) for one in found[:MOST_SHOWN])
        seen += f"; and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
        back = ", or put the old values back and resume"
    raise RecipeError(
        f"the recipe of the run `{run_id}` has changed since the run began",
        seen=seen,
        allowed="the recipe it began with",
        next=f"start a new run: it takes over every step that is still the same: tunesmith run {path}{back}",
    )


def _is_newer(one: Difference, written: Any) -> bool:
    """Whether a key is one that tunesmith did not have when the run began: not in the file, so it has its default."""
    path, _, before = one
    return before is _MISSING and not _is_written(path, written)


def _is_written(path: Path, here: Any) -> bool:
    for step in path:
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def differences(now: Any, before: Any, path: Path = ()) -> Iterator[Difference]:
    """The places where two JSON values differ, as deep as both are tables, or lists of one length."""
    if isinstance(now, dict) and isinstance(before, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from differences(now.get(key, _MISSING), before.get(key, _MISSING), (*path, key))
    elif isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        for place, (one, other) in enumerate(zip(now, before, strict=True)):
            yield from differences(one, other, (*path, place))
    elif _MISSING in (now, before) or digests.canonical(now) != digests.canonical(before):
        yield path, now, before


def _words(path: Path, now: Any, before: Any) -> str:
    return f"{problems.dotted(path)}: {_shown(now)} (was {_shown(before)})"


def _shown(value: Any) -> str:
    return "not there" if value is _MISSING else problems.shown(json.dumps(value, ensure_ascii=False))


def began_with(folder: FilePath, digest: str) -> Any:
    """The recipe's values as they were when the run began; None where they are not those of the ledger any more."""
    try:
        found = json.loads((folder / PLAIN).read_text(encoding="utf-8"))
        return found if digests.of_value(found) == digest else None
    except (OSError, ValueError):
        return None
