"""What lies beside the artifacts without a person: folders of steps and runs, monitoring pages, files of feedback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tunesmith.governance.erasure.person import Person
from tunesmith.governance.erasure.rewrite import text_without
from tunesmith.governance.erasure.scan import Scanner
from tunesmith.lifecycle.monitor import FOLDER as MONITOR
from tunesmith.lifecycle.recorded import PLAIN, RECIPE
from tunesmith.lifecycle.run import REPORT, rebuild_report
from tunesmith.lifecycle.session import Session
from tunesmith.store.files import write_bytes

KEPT = frozenset({"lock", RECIPE, PLAIN})
"""Files of a run that stay as they are: a recipe is what its run is known by."""
APART = frozenset({"blobs", "steps", "erasures"})
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Erased</title>
<p>This page showed rows of a person who was erased, and was taken away. {next}</p></html>
"""


def clean_steps(session: Session, gone: set[str]) -> list[str]:
    """Delete what steps left in their folders, and return what that was.

    A step that was stopped and can go on, for nothing it reads is gone, keeps its own.
    """
    removed = []
    for folder in sorted((session.workspace.folder / "steps").iterdir()):
        if not folder.is_dir() or _can_go_on(folder, gone):
            continue
        with session.workspace.lock(folder / "lock", wait=False):
            for path in sorted(folder.iterdir()):
                if path.name == "lock":
                    continue
                is_empty = path.is_dir() and not any(path.iterdir())
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                removed += [] if is_empty else [_named(session, path)]
    return removed


def _can_go_on(folder: Path, gone: set[str]) -> bool:
    try:
        given = json.loads((folder / "step.json").read_text(encoding="utf-8"))["given"]
    except (OSError, ValueError, KeyError):
        return False
    is_done = (folder / "result.json").is_file()
    return not is_done and not any(one["digest"] in gone for one in given.values())


def clean_project(session: Session, person: Person, *, is_watched: bool) -> list[str]:
    """Take the person out of the files of a project: monitoring, feedback that became rows; ``is_watched``: answers to
    the person were captured, so that pages of monitoring may show them cut off."""
    changed = []
    for path in sorted(session.workspace.folder.rglob("*")):
        parts = path.relative_to(session.workspace.folder).parts
        if parts[0] in APART or not path.is_file() or path.is_symlink():
            continue
        is_page = path.suffix == ".html" and (is_watched and parts[0] == MONITOR)
        if is_page or path.suffix in (".html", ".json", ".jsonl", ".csv", ".txt", ".log"):
            next_words = "Check again: <code>tunesmith monitor</code>." if parts[0] == MONITOR else ""
            if _cleaned(path, person, next_words, is_always=is_page):
                changed.append(_named(session, path))
    return changed


def clean_runs(session: Session, person: Person, touched: set[str]) -> list[str]:
    """Take the person out of the folders of a project's runs; reports are written anew from what is left.

    ``touched``: artifacts that held the person, or stand in the place of one.
    """
    changed = []
    for run in session.ledger.runs():
        folder = session.workspace.root / "runs" / run.id
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.name in KEPT or not path.is_file() or path.is_symlink():
                continue
            if path.name == REPORT:
                is_other = _uses(session, run.id, touched) or _tells(path, person)
                if not is_other:
                    continue
                if rebuild_report(session, run.id) is None or _tells(path, person):
                    _replace(path, f"Its figures are in <code>tunesmith models show run:{run.id}</code>.")
            elif not _cleaned(path, person, ""):
                continue
            changed.append(_named(session, path))
    return changed


def _uses(session: Session, run_id: str, touched: set[str]) -> bool:
    keys = [step.step_key for step in session.ledger.run_steps(run_id) if step.step_key]
    made = (session.ledger.find_step(key) or {} for key in keys)
    return any(one.digest in touched for outputs in made for one in outputs.values())


def _tells(path: Path, person: Person) -> bool:
    return bool(Scanner(person).of_file(path))


def _cleaned(path: Path, person: Person, next_words: str, *, is_always: bool = False) -> bool:
    """Whether a file told of the person; it is written without, a page as a whole."""
    if path.suffix == ".html":
        if not is_always and not _tells(path, person):
            return False
        return _replace(path, next_words)
    try:
        before = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    after = text_without(before, path.suffix, person)
    if after != before:
        write_bytes(path, after.encode(), mode=path.stat().st_mode & 0o777)
    return after != before


def _replace(path: Path, next_words: str) -> bool:
    """Put a page that says what was here in the place of one; whether it was another."""
    content = PAGE.format(next=next_words).encode()
    if path.is_file() and path.read_bytes() == content:
        return False
    write_bytes(path, content)
    return True


def _named(session: Session, path: Path) -> str:
    return path.relative_to(session.workspace.root).as_posix()
