"""Where a newcomer starts: a recipe written for their own file, and the example that comes with tunesmith."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from tunesmith.core import wiring
from tunesmith.core.errors import RecipeError
from tunesmith.core.source import Batch
from tunesmith.data.sources.compressed import plain_name
from tunesmith.data.sources.files import require_file
from tunesmith.data.sources.several import ONE_FILE, open_files, told_kind
from tunesmith.lifecycle import columns
from tunesmith.lifecycle.table_file import DELIMITED_SUFFIXES, SAMPLED_ROWS
from tunesmith.recipe.load import load
from tunesmith.recipe.yaml_write import flow
from tunesmith.store.files import temporary_folder, write_bytes

RECIPE = "recipe.yaml"
EXAMPLE_PACKAGE = "tunesmith.examples"
EXAMPLE = "support_desk"
DATABASE = "crm.db"
EXAMPLE_COLUMNS = {"text": "message", "label": "intent", "subject": "customer_id", "segment": "tier"}

TEMPLATE = """\
# A recipe: what to learn, from which rows. `tunesmith plan {recipe}` shows what it would do and costs nothing.
task: {task}{task_words}

data:
  sources:
    - kind: {kind}
      path: {path}
      # role: the file's column. text and label are needed; subject (customer, patient) keeps a person's rows in one
      # split, segment is a group to report on.
      columns: {columns}
      purpose: unspecified           # what the rows were collected for; shown in the report
      licence: unspecified           # the terms they may be used under
  # rules:                           # rows that break a rule are put aside with the reason
  #   - {{column: text, min_chars: 3}}
  # split: {{validation: 0.1, test: 0.2}}

model: embedded                      # or a folder in Hugging Face format, or a Hub id
# train: {{trainable: head}}           # head: a minute, less accurate; full (the default): every weight learns
# gate: {{{metric}: {{better_than: [{baselines}]}}}}   # what must be shown before the model is released
"""


@dataclass(frozen=True)
class Started:
    """A recipe that was written, and what was guessed for it."""

    recipe: str
    data: str
    format: str
    columns: dict[str, str]
    task: str
    guesses: list[str]
    """What was guessed and why, in words."""

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self)


def init(folder: Path, data: Path | None = None) -> Started:
    """Write a commented recipe that runs, for the file, the folder's only data file, or the example's messages.

    Raises: RecipeError where a recipe is there already, or the file's columns cannot be told.
    """
    recipe = folder / RECIPE
    if recipe.exists():
        raise RecipeError(f"{recipe} is there already; it is left as it is", next=f"tunesmith plan {recipe}")
    guesses: list[str] = []
    chosen: dict[str, str] = {}
    if data is None:
        data, is_example = _only_file(folder)
        chosen = EXAMPLE_COLUMNS if is_example else {}
        why = "an example, as the folder holds no data file" if is_example else "the only data file"
        guesses.append(f"data: `{data.name}`, {why}")
    elif not data.exists():
        raise RecipeError(f"there is no file {data}", next="give the path of a CSV, JSON, Parquet or Arrow file")
    table = _sampled(data)
    guess = columns.guess(table.cells)
    if not chosen:
        if guess.text is None or guess.label is None:
            missing = "text" if guess.text is None else "label"
            raise RecipeError(
                f"{data.name}: no column looks like a {missing}",
                seen=", ".join(table.cells),
                next=f"write the recipe by hand: columns: {{text: …, label: …}} (format: {table.format})",
            )
        chosen = {"text": guess.text, "label": guess.label}
        if guess.subject is not None:
            chosen["subject"] = guess.subject
    guesses += guess.reasons
    task = "regress" if guess.is_numeric else "classify"
    text = _recipe_text(recipe, task, table.kind, data, chosen)
    folder.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder) as draft:
        # Read back before anybody else does: a recipe that does not load is never written.
        write_bytes(draft / RECIPE, text.encode())
        load(draft / RECIPE)
    write_bytes(recipe, text.encode())
    return Started(str(recipe), str(data), table.format, chosen, task, guesses)


@dataclass(frozen=True)
class _Sample:
    """The first rows of a file, and the kind of source that reads it."""

    kind: str
    format: str
    cells: dict[str, list[Any]]


def _sampled(data: Path) -> _Sample:
    """The file's kind, and its first rows by column."""
    kind = told_kind(require_file(data, source=data.name))
    config = wiring.load(wiring.wire("source", kind).config or "")
    source = open_files(config(name="input", path=str(data)))
    batch = next(iter(source.read()), Batch({}))
    cells = {name: list(column[:SAMPLED_ROWS]) for name, column in batch.columns.items()}
    return _Sample(kind, source.describe().format, cells)


def copy_example(folder: Path) -> Path:
    """The recipe of the support desk in a folder, with its data and its database; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files(EXAMPLE_PACKAGE) / EXAMPLE) as example:
        for file in sorted(example.iterdir()):
            if file.is_file() and not (folder / file.name).exists():
                write_bytes(folder / file.name, file.read_bytes())
        if not (folder / DATABASE).exists():
            _build(folder, (example / "crm.sql").read_text(encoding="utf-8"))
    return folder / RECIPE


def _build(folder: Path, script: str) -> None:
    """Make the database of the example at once: half a database would look like a whole one."""
    with temporary_folder(folder) as draft:
        connection = sqlite3.connect(draft / DATABASE)
        try:
            connection.executescript(script)
            connection.commit()
        finally:
            connection.close()
        (draft / DATABASE).replace(folder / DATABASE)


def _only_file(folder: Path) -> tuple[Path, bool]:
    """The folder's only data file, or the example's messages copied into it; whether it is the example."""
    endings = (*DELIMITED_SUFFIXES, *(ending for _, endings in ONE_FILE.values() for ending in endings))
    inside = sorted(folder.glob("*")) if folder.is_dir() else []
    found = [path for path in inside if path.is_file() and plain_name(path.name).endswith(endings)]
    if len(found) > 1:
        raise RecipeError(
            f"{folder} holds {len(found)} data files",
            seen=", ".join(path.name for path in found[:8]),
            next=f"tunesmith init --from {found[0]}",
        )
    if found:
        return found[0], False
    folder.mkdir(parents=True, exist_ok=True)
    messages = resources.files(EXAMPLE_PACKAGE) / EXAMPLE / "tickets.csv"
    write_bytes(folder / messages.name, messages.read_bytes())
    return folder / messages.name, True


def _recipe_text(recipe: Path, task: str, kind: str, data: Path, chosen: dict[str, str]) -> str:
    inside = os.path.relpath(data.absolute(), recipe.parent.absolute())
    is_label = task == "classify"
    return TEMPLATE.format(
        recipe=recipe,
        task=task,
        task_words=f"{' ' * 23}# one {'label' if is_label else 'number'} per text",
        kind=kind,
        path=flow(str(data.absolute()) if inside.startswith("..") else inside),
        columns=flow(chosen),
        metric="f1_macro" if is_label else "mse",
        baselines="majority, tfidf" if is_label else "mean, tfidf",
    )
