"""YAML by the 1.2 core schema, read safely: plain data with bounds, and where each key stands.

PyYAML scans and parses; what a plain scalar means is decided here, because PyYAML resolves by YAML 1.1, where `no` is
false, `012` is 10 and `2e-4` is a string.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml
from yaml.composer import Composer, ComposerError
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from tunesmith.core.errors import RecipeError

MAX_CHARS = 1 << 20
MAX_DEPTH = 50
MAX_ALIASES = 50
MAX_NODES = 100_000
"""Counted after aliases are written out: a few bytes of nested aliases stand for billions of nodes."""
SHOWN_CHARS = 120

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
INT = re.compile(r"[-+]?[0-9]+")
OCTAL = re.compile(r"0o[0-7]+")
HEX = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
NAN = frozenset({".nan", ".NaN", ".NAN"})

Path = tuple[str | int, ...]
"""The keys and list positions that lead to a value: ``("data", "sources", 0, "path")``."""


@dataclass(frozen=True)
class Place:
    """Where something was written."""

    where: str
    """``recipe.yaml:3:5`` (line and column count from 1)."""
    line: str
    """The line as written, or the part of a long one around the place."""


@dataclass(frozen=True)
class Document:
    """The data of a text and the place of each key and list item."""

    data: dict[str, Any]
    places: dict[Path, Place] = field(default_factory=dict)


def loads(text: str, name: str) -> dict[str, Any]:
    """The mapping that a text holds; ``name`` stands for the text in errors.

    Raises: RecipeError with file, line, column and the line itself.
    """
    return read(text, name).data


def read(text: str, name: str) -> Document:
    """The mapping that a text holds, and where its keys stand.

    Raises: RecipeError with file, line, column and the line itself.
    """
    source = _Source(text, name)
    node = source.compose()
    if node is None or (isinstance(node, yaml.ScalarNode) and source.scalar(node) is None):
        raise RecipeError(f"{name} is empty", next="write at least `task:` and one source; `tunesmith init` makes one")
    if not isinstance(node, yaml.MappingNode):
        source.refuse(node.start_mark, "a recipe is a mapping of keys to values", allowed="key: value")
    document = Document({})
    document.data.update(source.construct(node, (), document.places))
    return document


def value(text: str, name: str) -> Any:
    """The value that a piece of YAML stands for: a scalar, or a list or mapping in one line."""
    source = _Source(text, name)
    node = source.compose()
    return None if node is None else source.construct(node, (), {})


class _Composer(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's reader up to nodes, without its meaning of scalars; bounded while it composes."""

    def __init__(self, text: str, source: _Source) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.source = source
        self.num_aliases = 0
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            self.num_aliases += 1
            if self.num_aliases > MAX_ALIASES:
                self.source.refuse(event.start_mark, "too many aliases", allowed=f"at most {MAX_ALIASES}")
        elif event.tag is not None:
            self.source.refuse(event.start_mark, f"tags are not read: `{event.tag}`", allowed="plain YAML values")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.source.refuse(event.start_mark, "nested too deep", allowed=f"at most {MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Source:
    """A text with its name, so that every refusal can show the line."""

    def __init__(self, text: str, name: str) -> None:
        if len(text) > MAX_CHARS:
            raise RecipeError(f"{name} is too long", seen=f"{len(text)} characters", allowed=f"at most {MAX_CHARS}")
        self.text, self.name = text, name
        self.lines = text.splitlines()

    def place(self, mark: Any) -> Place:
        line = self.lines[mark.line] if mark.line < len(self.lines) else ""
        if len(line) > SHOWN_CHARS:
            start = max(0, mark.column - SHOWN_CHARS // 2)
            line = f"… {line[start : start + SHOWN_CHARS]} …"
        return Place(f"{self.name}:{mark.line + 1}:{mark.column + 1}", line.strip())

    def refuse(self, mark: Any, problem: str, **more: Any) -> NoReturn:
        place = self.place(mark)
        raise RecipeError(f"{place.where}: {problem}", seen=place.line or None, **more)

    def compose(self) -> Any:
        try:
            node = _Composer(self.text, self).get_single_node()
        except ReaderError as error:
            line = self.text.count("\n", 0, error.position) + 1
            column = error.position - self.text.rfind("\n", 0, error.position)
            raise RecipeError(
                f"{self.name}:{line}:{column}: a character that no text file holds",
                seen=f"U+{_code_point(error.character):04X}",
                next="is this the right file? A recipe is UTF-8 text",
            ) from None
        except ComposerError as error:
            self.refuse(error.problem_mark or error.context_mark, _sentence(error))
        except yaml.MarkedYAMLError as error:
            tabs = "tabs cannot indent: use spaces" if "'\\t'" in str(error.problem) else None
            self.refuse(error.problem_mark or error.context_mark, _sentence(error), next=tabs)
        if node is not None:
            self.measure(node, {})
        return node

    def measure(self, node: Any, sizes: dict[int, int]) -> int:
        """The nodes below a node with its aliases written out, each node looked at once."""
        known = sizes.get(id(node))
        if known == 0:
            self.refuse(node.start_mark, "an alias refers to what it is a part of")
        if known is not None:
            return known
        sizes[id(node)] = 0
        size = 1
        if isinstance(node, yaml.MappingNode):
            size += sum(self.measure(key, sizes) + self.measure(item, sizes) for key, item in node.value)
        elif isinstance(node, yaml.SequenceNode):
            size += sum(self.measure(item, sizes) for item in node.value)
        if size > MAX_NODES:
            self.refuse(node.start_mark, "too many values once its aliases are written out", allowed=f"{MAX_NODES}")
        sizes[id(node)] = size
        return size

    def construct(self, node: Any, path: Path, places: dict[Path, Place]) -> Any:
        """The plain data of a node; the places of its keys and items go to ``places``."""
        if len(path) > MAX_DEPTH:
            self.refuse(node.start_mark, "nested too deep", allowed=f"at most {MAX_DEPTH} levels")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if isinstance(node, yaml.SequenceNode):
            items = []
            for index, item in enumerate(node.value):
                places[*path, index] = self.place(item.start_mark)
                items.append(self.construct(item, (*path, index), places))
            return items
        mapping: dict[str, Any] = {}
        for key_node, item in node.value:
            key = self.key(key_node)
            if key in mapping:
                first = places[*path, key].where
                self.refuse(key_node.start_mark, f"the key `{key}` stands twice", next=f"it stands first at {first}")
            places[*path, key] = self.place(key_node.start_mark)
            mapping[key] = self.construct(item, (*path, key), places)
        return mapping

    def key(self, node: Any) -> str:
        """A key is the text it was written as: a label `0` or `no` stays a name."""
        if not isinstance(node, yaml.ScalarNode):
            self.refuse(node.start_mark, "a key is a name", allowed="key: value")
        if node.style is None and node.value == "":
            self.refuse(node.start_mark, "a key is missing in front of the colon", allowed="key: value")
        return str(node.value)

    def scalar(self, node: Any) -> Any:
        """The value of a scalar; what was quoted is text."""
        text = str(node.value)
        if node.style is not None:
            return text
        try:
            return resolve(text)
        except ValueError:  # Python refuses to read thousands of digits
            self.refuse(node.start_mark, "a whole number with too many digits")


def resolve(text: str) -> Any:
    """What a plain scalar means by the core schema; the text itself where it is none of null, boolean and number."""
    if text in NULLS:
        return None
    if text in BOOLS:
        return BOOLS[text]
    if INT.fullmatch(text):
        return int(text)
    if OCTAL.fullmatch(text) or HEX.fullmatch(text):
        return int(text, 0)
    if FLOAT.fullmatch(text):
        return float(text)
    if INFINITE.fullmatch(text):
        return float(text.replace(".", "", 1))
    if text in NAN:
        return float("nan")
    return text


def _code_point(character: str | int) -> int:
    """PyYAML's stub and its code disagree on what it reports: the character or its number."""
    return character if isinstance(character, int) else ord(character)


def _sentence(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's two half sentences as one."""
    return ", ".join(str(part) for part in (error.context, error.problem) if part)
