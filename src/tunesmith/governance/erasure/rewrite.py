"""An artifact's files without a person, as the folder of another artifact."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tunesmith.governance.erasure import recount
from tunesmith.governance.erasure.person import Person
from tunesmith.governance.erasure.tables import without
from tunesmith.governance.erasure.values import cleaned
from tunesmith.store.erasures import WEIGHTS

NUMBERS = frozenset({".safetensors", ".npy", ".npz", ".bin", ".pt"})
"""Endings of numbers in the order of rows, which only whoever computed them can tell apart."""
MANIFEST = "manifest.json"
Write = Callable[[pl.DataFrame, Path], None]
Facts = dict[str, Any]


@dataclass(frozen=True)
class Rewritten:
    """What came of an artifact."""

    gone: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    """File → the rows that were taken out."""
    changed: int = 0
    """Rows of others, and other files, in which something was blacked out."""
    is_lost: bool = False
    """It is numbers of rows: nothing stands in its place, and it is computed again on need."""

    @property
    def is_other(self) -> bool:
        """Whether the artifact held anything of the person."""
        return self.is_lost or self.changed > 0 or any(one.height for one in self.gone.values())

    @property
    def rows(self) -> int:
        """How many rows were taken out."""
        return sum(one.height for one in self.gone.values())


def rewrite(folder: Path, kind: str, person: Person, out: Path, write: Write, *, is_made_of: bool) -> Rewritten:
    """Write an artifact's files without the person to another folder, and say what was taken out.

    ``is_made_of``: something it was computed from held the person. The folder holds nothing to be used where nothing
    was there, or where the artifact is lost.
    """
    if kind in WEIGHTS:
        # They are stale, not rewritten.
        return Rewritten()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    has_numbers = any(path.suffix in NUMBERS for path in files)
    if has_numbers and is_made_of:
        return Rewritten(is_lost=True)
    gone: dict[str, pl.DataFrame] = {}
    as_they_are: list[Path] = []
    changed = 0
    for path in files:
        goal = out / path.relative_to(folder)
        goal.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            taken = without(pl.read_parquet(path, memory_map=False), person)
            if taken.is_other:
                write(taken.frame, goal)
                gone[path.relative_to(folder).as_posix()] = taken.gone
                changed += taken.changed
                continue
        elif _is_rewritten(path, goal, person, quotes=is_made_of):
            changed += 1
            continue
        as_they_are.append(path)
    made = Rewritten(gone, changed)
    if not made.is_other or has_numbers:
        return Rewritten(gone, changed, is_lost=made.is_other)
    for path in as_they_are:
        shutil.copyfile(path, out / path.relative_to(folder))
    if gone and (out / MANIFEST).is_file():
        _recount_manifest(out, gone)
    return made


def facts_of(kind: str, person: Person, made: Rewritten) -> Callable[[Facts], Facts]:
    """What makes the facts of a rewritten artifact of those it had."""
    counts = {"dataset": recount.of_dataset, "splits": recount.of_splits}.get(kind, recount.of_others)

    def changed(facts: Facts) -> Facts:
        return dict(cleaned(counts(facts, made.gone), person, quotes=made.is_other))

    return changed


def _is_rewritten(path: Path, goal: Path, person: Person, *, quotes: bool) -> bool:
    """Whether a file of JSON or text tells of the person; it is then written without."""
    if path.suffix not in (".json", ".jsonl", ".txt", ".md", ".jinja", ".html"):
        return False
    try:
        before = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    after = text_without(before, path.suffix, person, quotes=quotes)
    if after == before:
        return False
    goal.write_text(after, encoding="utf-8")
    return True


def text_without(text: str, suffix: str, person: Person, *, quotes: bool = False) -> str:
    """A file's content without the person: JSON by its values, JSON lines line by line, the rest as text."""
    if suffix == ".json":
        value = _parsed(text)
        clean = cleaned(value, person, quotes=quotes)
        # As it stands where nothing changes, so that its bytes stay.
        return text if value is None or clean == value else json.dumps(clean, indent=1, ensure_ascii=False) + "\n"
    if suffix == ".jsonl":
        return "".join(_line_without(line, person, quotes=quotes) for line in text.splitlines(keepends=True))
    return person.redacted(text)


def _line_without(line: str, person: Person, *, quotes: bool) -> str:
    value = _parsed(line)
    if value is None:
        return person.redacted(line)
    if isinstance(value, dict) and _is_row_of(value, person):
        return ""
    clean = cleaned(value, person, quotes=quotes)
    return line if clean == value else json.dumps(clean, ensure_ascii=False) + "\n"


def _is_row_of(value: Mapping[str, Any], person: Person) -> bool:
    """Whether a line is a row of the person: feedback that became training rows names its subject."""
    subject = value.get("subject")
    is_theirs = isinstance(subject, str) and (subject == person.plain or subject.endswith(person.subject))
    return is_theirs or (isinstance(value.get("text"), str) and value["text"] in person.texts)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _recount_manifest(out: Path, gone: Mapping[str, pl.DataFrame]) -> None:
    manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    if "shards" in manifest:
        manifest["rows"] -= sum(gone[name].height for name in manifest["shards"] if name in gone)
        (out / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
