"""A validation error as a recipe's author needs it: where, what was seen, what is allowed, what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.recipe import aliases, schema
from tunesmith.recipe.problems import Problem, dotted, error_of, shown
from tunesmith.recipe.yaml12 import Document, Path
from tunesmith.recipe.yaml_write import flow

LATER: Mapping[str, str] = {
    "explain": "explanations",
    "release": "releases with approval",
    "track": "outside trackers",
    "policy": "data policies",
    "data.label": "weak labelling",
    "evaluate.forgetting": "the forgetting suite",
}
"""Sections of later versions: refused by name, so that nobody believes they did something."""

MISFIT = "does not fit"
"""How the problem of a value of the wrong shape ends; anything more precise takes its place."""

ENTRIES = "table text → "
"""How the words of a table begin whose keys are the user's own."""

NEAR = 0.72
"""How alike a wrong key and a known one must be before the known one is offered ahead of other places."""


def explain(error: ValidationError, document: Document, root: type[Config], name: str) -> RecipeError:
    """One error with every problem of a recipe, each at its place in the file."""
    found: list[Problem] = []
    places: list[Path] = []
    for detail in error.errors():
        places.append(_path(detail["loc"], document.data))
        found += _Detail(detail, places[-1], document.data, root).problems()
    found += _batch(document.data, places, root)
    return error_of(_without_outer(found), document.places, name)


def _path(location: Sequence[str | int], data: Any) -> Path:
    """The place in the data that pydantic's location stands for; the names of union branches are passed over."""
    path: list[str | int] = []
    for key in location:
        is_key = isinstance(data, dict) and isinstance(key, str) and key in data
        is_item = isinstance(data, list) and isinstance(key, int) and key < len(data)
        if is_key or is_item:
            data = data[key]
            path.append(key)
    return tuple(path)


def _without_outer(found: list[Problem]) -> list[Problem]:
    """Leave out "this table does not fit" where something inside of it is reported; one problem a place and text."""
    return [one for one in found if not (one.what.endswith(MISFIT) and any(_says_more(other, one) for other in found))]


def _says_more(other: Problem, one: Problem) -> bool:
    """Whether it is about something inside of the same value, or about that value in words of its own."""
    return _is_inside(other.path, one.path) or (other.path == one.path and not other.what.endswith(MISFIT))


def _is_inside(inner: Path, outer: Path) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


class _Detail:
    """One line of pydantic's error, with what is known about its place."""

    def __init__(self, detail: Any, path: Path, data: Any, root: type[Config]) -> None:
        self.type, self.value, self.context = detail["type"], detail["input"], detail.get("ctx", {})
        self.message, self.location = detail["msg"], detail["loc"]
        self.path, self.data, self.root = path, data, root

    def problems(self) -> list[Problem]:
        """The problem, or problems, that the line stands for."""
        if self.type == "tunesmith_checks":
            return list(self.context["problems"])
        if self.type == "tunesmith":
            seen, allowed, way_out = (self.context.get(part) for part in ("seen", "allowed", "next"))
            return [Problem(self.path, self.context["what"], seen and shown(seen), allowed, way_out)]
        if self.type == "extra_forbidden":
            return list(_unknown_key(self.path, self.data, self.root, self.location))
        if self.type == "missing":
            return [self._missing(str(self.location[-1]))]
        if self.type in ("union_tag_not_found", "union_tag_invalid"):
            return [self._no_kind()]
        if self.type == "value_error":
            return [Problem(self.path, str(self.context["error"]), None if self._is_table() else shown(self.value))]
        return [self._does_not_fit(), *_hidden_aliases(self.path, self.value)]

    def _classes(self) -> list[type[Config]]:
        return schema.classes_at(self.root, self.data, self.path)

    def _is_table(self) -> bool:
        return isinstance(self.value, dict | list | Config)

    def _missing(self, key: str) -> Problem:
        where = dotted((*self.path, key))
        classes = [one for one in self._classes() if key in one.model_fields]
        allowed = schema.words(classes[0].model_fields[key]) if classes else None
        doc = classes[0].model_fields[key].description if classes else None
        return Problem(self.path, f"`{where}` is missing", None, allowed, doc and " ".join(doc.split()))

    def _no_kind(self) -> Problem:
        kinds = [kind for one in self._classes() for kind in schema.kinds_of(one)]
        kind = self.value.get("kind") if isinstance(self.value, dict) else None
        if not isinstance(kind, str):
            what = f"`{dotted(self.path)}` does not say of which `kind` it is"
            return Problem(self.path, what, shown(self.value), ", ".join(kinds), f"add `kind: {kinds[0]}`")
        what = f"`{dotted(self.path)}` has no kind `{kind}`"
        return Problem(self.path, what, kind, ", ".join(kinds), _near(kind, kinds))

    def _does_not_fit(self) -> Problem:
        field = schema.field_at(self.root, self.data, self.path)
        where = dotted(self.path)
        if field is not None and where:
            return self._misfit(field)
        allowed = self.message
        if not where:
            return Problem((), "a recipe is a table of keys", shown(self.value), "task, data, model, train, …")
        return Problem(self.path, f"`{where}` {MISFIT}", shown(self.value), allowed)

    def _misfit(self, field: FieldInfo) -> Problem:
        """A value of the wrong shape: what the field takes, and how this value may have been meant."""
        where, key, allowed = dotted(self.path), str(self.path[-1]), schema.words(field)
        configs = schema.configs_in(field.annotation)
        if allowed.startswith(ENTRIES) and self._is_entry():
            allowed = allowed.removeprefix(ENTRIES)
        way_out = f"leave `{where}` out for its default" if self.value is None else None
        if isinstance(self.value, str | int | float) and not isinstance(self.value, bool):
            kinds = [kind for one in configs for kind in schema.kinds_of(one)]
            if allowed.startswith("list of"):
                way_out = f"write `{key}: [{shown(self.value)}]`"
            elif kinds:
                way_out = _near(str(self.value), kinds)
            elif len(configs) == 1:
                keys = list(configs[0].model_fields)
                needed = [name for name, one in configs[0].model_fields.items() if one.is_required()] or keys[:1]
                allowed = f"{allowed}; its keys are {', '.join(keys)}"
                way_out = f"write `{key}: {{{', '.join(f'{name}: …' for name in needed)}}}`"
        return Problem(self.path, f"`{where}` {MISFIT}", shown(self.value), allowed, way_out)

    def _is_entry(self) -> bool:
        """Whether the value is one entry of a table whose keys are the user's own."""
        owners = schema.classes_at(self.root, self.data, self.path[:-1])
        return not any(self.path[-1] in one.model_fields for one in owners)


def _near(word: str, known: Sequence[str]) -> str | None:
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean `{near[0]}`?" if near else None


def _unknown_key(path: Path, data: Any, root: type[Config], location: Sequence[str | int]) -> Iterator[Problem]:
    """What an unknown key may have meant; other tools' keys inside of it are answered too."""
    *parent, last = path
    key, where = str(last), dotted(path)
    value = _value(data, path)
    here = schema.classes_at(root, data, tuple(parent))
    # Where the data leaves the kind to its default, pydantic's location names the branch that was taken.
    known = schema.keys_of([one for one in here if schema.kind_of(one) in location] or here)
    if where in LATER:
        yield Problem(path, f"{LATER[where]} (`{where}`) is not in this version", next=f"leave `{where}` out")
        return
    inside = list(_hidden_aliases(path, value))
    if key in aliases.BATCH:
        yield from inside  # their product is one value: answered once, for all of them
        return
    alias = aliases.ALIASES.get(key)
    if alias is not None and alias.native != where:
        yield _aliased(path, alias, value)
        return
    problem = Problem(path, f"there is no key `{where}`", key, ", ".join(known))
    parts = [one for one in known if key in one.split("_")]
    if near := difflib.get_close_matches(key, known, n=1, cutoff=NEAR) or parts[:1]:
        yield replace(problem, next=f"did you mean `{near[0]}`?")
    elif inside:
        yield from inside
    else:
        yield replace(problem, next=_meant(key, where, tuple(parent), root, data))


def _meant(key: str, where: str, parent: Path, root: type[Config], data: Any) -> str | None:
    """Where an unknown key may belong, if not here; ``None`` where nothing is like it."""
    field = schema.field_at(root, data, parent) if parent else None
    siblings = schema.configs_in(field.annotation) if field is not None else []
    kinds = [kind for one in siblings if key in one.model_fields and (kind := schema.kind_of(one))]
    if kinds:
        return f"`{key}` belongs to the kind {' or '.join(f'`{kind}`' for kind in kinds)}"
    places = [path for path in schema.paths(root).get(key, []) if path != where]
    if 0 < len(places) <= 2:
        return f"its place is {' or '.join(f'`{place}`' for place in places)}"
    everywhere = difflib.get_close_matches(key, schema.paths(root), n=1, cutoff=NEAR)
    if everywhere:
        return f"did you mean `{schema.paths(root)[everywhere[0]][0]}`?"
    return None


def _aliased(path: Path, alias: aliases.Alias, value: Any) -> Problem:
    key = path[-1]
    if alias.native is None:
        return Problem(path, f"`{key}` has no counterpart here", next=alias.note)
    piece = alias.write(value)
    write = f"write `{flow(piece).removeprefix('{').removesuffix('}')}`" if piece is not None else None
    seen = None if write else f"{key}: {shown(value)}"
    advice = "; ".join(part for part in (write, alias.note) if part)
    return Problem(
        path, f"`{key}` is `{alias.native}` here", seen, next=advice or f"give `{alias.native}` a value of its own"
    )


def _hidden_aliases(path: Path, value: Any) -> Iterator[Problem]:
    """Other tools' keys inside a value that does not belong here."""
    for inner, key, item in _entries(path, value):
        alias = aliases.ALIASES.get(key)
        if alias is not None:
            yield _aliased(inner, alias, item)


def _entries(path: Path, value: Any) -> Iterator[tuple[Path, str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), str(key), item
            yield from _entries((*path, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _entries((*path, index), item)


def _batch(data: Any, wrong: Sequence[Path], root: type[Config]) -> Iterator[Problem]:
    """The rows of an optimizer step that other tools' keys make together, at or inside of the wrong places."""
    found: dict[str, Any] = {}
    first: Path = ()
    for path, key, item in _entries((), data):
        is_wrong = any(path[: len(place)] == place for place in wrong if place)
        if is_wrong and key in aliases.BATCH and key not in schema.keys_of(schema.classes_at(root, data, path[:-1])):
            found.setdefault(key, item)
            first = first or path
    if not found:
        return
    rows, words = aliases.batch_of(found)
    if rows is None:
        what = "the rows of an optimizer step are `train.batch` here"
        way_out = "write `train: {batch: 32}`: all processes and accumulation counted"
        yield Problem(first, what, words, "rows × accumulation × processes", way_out)
        return
    yield Problem(first, f"{words} are `train.batch` {rows} here", next=f"write `train: {{batch: {rows}}}`")


def _value(data: Any, path: Path) -> Any:
    for key in path:
        data = data[key]
    return data
