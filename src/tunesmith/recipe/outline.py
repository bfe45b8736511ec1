"""The sections of the reference page: every config class once, the kinds of a union together."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from tunesmith.core.config import Config
from tunesmith.recipe import schema


@dataclass(frozen=True)
class Section:
    """One place of the recipe: its path, and the class, or the classes of a union, that may stand there."""

    path: str
    classes: tuple[type[Config], ...]
    about: str
    """What stands there, in words."""

    @property
    def is_union(self) -> bool:
        """Whether several classes may stand here."""
        return len(self.classes) > 1

    def heading(self, config: type[Config] | None = None) -> str:
        """The path as it is written; with one of the union's classes: that one's."""
        return f"{self.path}[{label(config)}]" if config else self.path

    def shared(self) -> list[str]:
        """The keys that every class of the union has with one meaning, `kind` left out."""
        first, *others = [one.model_fields for one in self.classes]
        same = [key for key, field in first.items() if all(_alike(field, one.get(key)) for one in others)]
        return [key for key in same if key != "kind"]

    def own(self, config: type[Config]) -> list[str]:
        """The keys that are this class's alone; a `kind` of one value is in the heading already."""
        left_out = (
            {*self.shared(), *(["kind"] if len(schema.kinds_of(config)) == 1 else [])} if self.is_union else set()
        )
        return [key for key in config.model_fields if key not in left_out]

    def doc(self, config: type[Config]) -> str:
        """What a class is, with what its `kind` says where that differs between the kinds."""
        words = " ".join((inspect.getdoc(config) or "").split())
        said = [_kind_words(one) for one in self.classes]
        more = _kind_words(config) if self.is_union and len(schema.kinds_of(config)) == 1 and len(set(said)) > 1 else ""
        if more.startswith(words.rstrip(".")):
            return more
        return words if not more or more.rstrip(".") in words else f"{words} {more}"


def sections(root: type[Config]) -> list[Section]:
    """Every section below a class, from the top down; what stands at several places is given at the first."""
    known: dict[tuple[type[Config], ...], Section] = {}
    _walk(Section("", (root,), " ".join((inspect.getdoc(root) or "").split())), known)
    return list(known.values())


def _walk(section: Section, known: dict[tuple[type[Config], ...], Section]) -> None:
    if section.classes in known:
        return
    known[section.classes] = section
    for config in section.classes:
        for key, field in config.model_fields.items():
            found = schema.configs_in(field.annotation)
            path = f"{section.path}.{key}" if section.path else key
            if classes := tuple(schema.plain(found)):
                _walk(Section(path, classes, " ".join((field.description or "").split())), known)
            for one in found:
                # What stands in it is what stands in the phases of language models.
                if (sign := schema.told_by(one)) is not None:
                    known[(one,)] = Section(f"{path}[{': '.join(sign)}]", (one,), "")


def label(config: type[Config]) -> str:
    """What tells a class of a union from the others: its kind, or the keys it must have."""
    if names := schema.kinds_of(config):
        return f"kind: {', '.join(names)}"
    return ", ".join(key for key, field in config.model_fields.items() if field.is_required())


def anchor(heading: str) -> str:
    """The fragment by which Markdown pages are linked to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def by_key(all_sections: list[Section]) -> Iterator[tuple[str, list[Section]]]:
    """The sections by the top-level key they stand under, the top level itself first."""
    groups: dict[str, list[Section]] = {}
    for section in all_sections:
        groups.setdefault(section.path.split(".")[0], []).append(section)
    yield from groups.items()


def _alike(field: FieldInfo, other: FieldInfo | None) -> bool:
    return other is not None and _told(field) == _told(other)


def _told(field: FieldInfo) -> tuple[Any, ...]:
    default = field.get_default(call_default_factory=True, validated_data={})
    return schema.words(field), field.is_required(), repr(default), field.description


def _kind_words(config: type[Config]) -> str:
    field = config.model_fields.get("kind")
    return " ".join((field.description or "").split()) if field is not None else ""
