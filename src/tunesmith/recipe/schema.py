"""What a recipe may hold where: walks the config classes, for errors and for the reference page."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic.fields import FieldInfo

from tunesmith.core.config import Config
from tunesmith.recipe.yaml12 import Path
from tunesmith.recipe.yaml_write import flow

WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    date: "date like `2024-03-01`",
    type(None): "null",
    Any: "any value",
}
BOUNDS: tuple[tuple[type, str, str], ...] = (
    (Ge, "ge", "≥"),
    (Gt, "gt", ">"),
    (Le, "le", "≤"),
    (Lt, "lt", "<"),
)


def configs_in(annotation: Any) -> list[type[Config]]:
    """The config classes that an annotated type can hold, in the order they are written."""
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation] if issubclass(annotation, Config) else []
    found: list[type[Config]] = []
    for argument in get_args(annotation):
        if not isinstance(argument, FieldInfo):
            found += [one for one in configs_in(argument) if one not in found]
    return found


def plain(classes: Sequence[type[Config]]) -> list[type[Config]]:
    """Those of the classes that are not told from the others by a key of their own."""
    return [one for one in classes if told_by(one) is None]


def told_by(config: type[Config]) -> tuple[str, str] | None:
    """The key and the value of it that tell a class from the one it may stand beside in a list; None: nothing does."""
    found: tuple[str, str] | None = getattr(config, "told_by", None)
    return found


def kind_of(config: type[Config]) -> str | None:
    """The kind a config class stands for in its union; ``None`` where it is not one of several."""
    field = config.model_fields.get("kind")
    return field.default if field is not None and isinstance(field.default, str) else None


def kinds_of(config: type[Config]) -> tuple[str, ...]:
    """The values its `kind` may have; none where it is not told by one."""
    field = config.model_fields.get("kind")
    return () if field is None else tuple(one for one in get_args(field.annotation) if isinstance(one, str))


def classes_at(root: type[Config], data: Any, path: Path) -> list[type[Config]]:
    """The config classes that may stand at a path; the data's `kind` decides between the members of a union."""
    classes, here = [root], data
    for key in path:
        here = _step(here, key)
        if isinstance(key, int):
            classes = _chosen(classes, here)
            continue
        fields = [one.model_fields[key] for one in classes if key in one.model_fields]
        if not fields:
            # A key of a plain table (`gate: {f1_macro: …}`): the classes of its values were found with the table.
            continue
        classes = _chosen([found for field in fields for found in configs_in(field.annotation)], here)
    return classes


def _step(here: Any, key: str | int) -> Any:
    if isinstance(here, dict):
        return here.get(key)
    if isinstance(here, list) and isinstance(key, int) and key < len(here):
        return here[key]
    return None


def _chosen(classes: list[type[Config]], here: Any) -> list[type[Config]]:
    told = [one for one in classes if (sign := told_by(one)) is not None and _has(here, sign)]
    if not isinstance(here, list):  # of a list each item is told apart
        classes = told or plain(classes) or classes
    kind = here.get("kind") if isinstance(here, dict) else here
    same = [one for one in classes if isinstance(kind, str) and kind_of(one) == kind]
    return same or classes


def _has(here: Any, sign: tuple[str, str]) -> bool:
    value = here.get(sign[0]) if isinstance(here, dict) else None
    return (value.get("kind") if isinstance(value, dict) else value) == sign[1]


def field_at(root: type[Config], data: Any, path: Path) -> FieldInfo | None:
    """The field that holds the value at a path: for a list item or a table's entry, the list's or table's own."""
    for end in range(len(path), 0, -1):
        key = path[end - 1]
        if isinstance(key, int):
            continue
        for config in classes_at(root, data, path[: end - 1]):
            if key in config.model_fields:
                return config.model_fields[key]
    return None


def keys_of(classes: list[type[Config]]) -> list[str]:
    """The keys that any of the classes knows."""
    return list(dict.fromkeys(key for one in classes for key in one.model_fields))


def paths(root: type[Config]) -> Mapping[str, list[str]]:
    """Every key that a recipe knows, with the dotted paths it stands at."""
    found: dict[str, list[str]] = {}
    for prefix, config in sections(root):
        if told_by(config) is not None:
            continue
        for key in config.model_fields:
            path = f"{prefix}.{key}" if prefix else key
            if path not in found.setdefault(key, []):
                found[key].append(path)
    return found


def sections(config: type[Config], prefix: str = "") -> Iterator[tuple[str, type[Config]]]:
    """Every config class below one, with its dotted path, from the top down; a union gives each of its kinds. What is
    told from the others in a list is given without what is below it."""
    yield prefix, config
    for key, field in config.model_fields.items():
        path = f"{prefix}.{key}" if prefix else key
        found = configs_in(field.annotation)
        for child in plain(found):
            yield from sections(child, path)
        yield from ((path, child) for child in found if told_by(child) is not None)


def words(field: FieldInfo) -> str:
    """What a field may hold, in words: ``whole number ≥ 1 or `auto```."""
    return _words(field.annotation, tuple(field.metadata))


def _words(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(arguments[0], (*_constraints(arguments[1:]), *metadata))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(one, metadata) for one in arguments))
    if origin is Literal:
        return " or ".join(f"`{flow(one)}`" for one in arguments)
    bounds = _bounds(metadata)
    if origin in (list, tuple):
        items = list(dict.fromkeys(_words(one) for one in arguments if one is not Ellipsis))
        count = f"{len(arguments)} of " if origin is tuple and Ellipsis not in arguments else ""
        least = "at least one of " if any(isinstance(one, MinLen) and one.min_length for one in metadata) else ""
        return f"list of {count or least}{' and '.join(items)}"
    if origin is dict:
        return f"table {_words(arguments[0])} → {_words(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return " or ".join(f"`{kind}`" for kind in kinds_of(annotation)) or "table of keys"
    if annotation is type(None):
        return WORDS[annotation]
    name = WORDS.get(annotation) or ("path" if getattr(annotation, "__name__", "") == "Path" else str(annotation))
    return f"{name} {bounds}".strip()


def _constraints(metadata: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one for item in metadata for one in (item.metadata if isinstance(item, FieldInfo) else (item,)))


def _bounds(metadata: tuple[Any, ...]) -> str:
    parts = [
        f"{sign} {flow(getattr(one, name))}" for kind, name, sign in BOUNDS for one in metadata if isinstance(one, kind)
    ]
    parts += ["not empty" for one in metadata if isinstance(one, MinLen) and one.min_length == 1]
    parts += [f"at most {one.max_length} characters" for one in metadata if isinstance(one, MaxLen)]
    parts += [f"like `{pattern}`" for one in metadata if (pattern := getattr(one, "pattern", None))]
    return " and ".join(parts)
