"""A model in production trained again: with what people said of its answers, more rows, or without withdrawn ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import Denied, RecipeError, StoreError
from tunesmith.data.extend import NothingNew
from tunesmith.data.sources.file_set import is_several
from tunesmith.data.sources.files import require_file
from tunesmith.data.sources.several import told_kind
from tunesmith.lifecycle import anew, permission
from tunesmith.lifecycle.champion import find_champion
from tunesmith.lifecycle.feedback_rows import Told, told_of
from tunesmith.lifecycle.monitor import monitor
from tunesmith.lifecycle.origin import recipe_of
from tunesmith.lifecycle.run import RunResult, Until, start_run
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.table_file import TABLE_SUFFIXES, is_table
from tunesmith.recipe.champion import CORRECTIONS, FEEDBACK
from tunesmith.recipe.load import load
from tunesmith.recipe.recipe import Recipe
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.records import ModelVersion
from tunesmith.training.config import TrainConfig

Cause = Literal["by hand", "drift", "labels", "erasure"]
ADDED = "added-"
NOTHING_NEW = "nothing new to learn from, so no run was begun"


@dataclass(frozen=True)
class Retrained:
    """What came of it."""

    champion: str
    """``name@version`` of the model that was to be trained again."""
    cause: Cause
    why: str
    """What called for it, or why nothing was done."""
    feedback: int
    """Rows with a true label that people gave."""
    corrections: int
    """Of these, those of a text that the champion has a row of."""
    without: tuple[str, ...]
    """Sources that may no longer be used."""
    gone: Mapping[str, str]
    """Sources whose file is no longer there, with its path: the champion's rows of them are used as it has them."""
    result: RunResult | None
    """How the run of the challenger ended; None where nothing called for one, or nothing is new."""
    nothing_new: Mapping[str, int] | None = None
    """What became of the rows that were looked at, where none is new (`NothingNew.counts`): no run was begun."""

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        one = {name: value for name, value in vars(self).items() if name != "result"}
        return one | {
            "without": list(self.without),
            "gone": dict(self.gone),
            "nothing_new": None if self.nothing_new is None else dict(self.nothing_new),
            "run": None if self.result is None else self.result.to_dict(),
        }


def retrain(
    session: Session,
    reference: str,
    *,
    add: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    on: Literal["drift", "labels"] | None = None,
    until: Until = "release",
) -> Retrained:
    """Train the model of ``name`` or ``name@alias`` again, from its weights, and judge it against itself as it was.

    One that learned from rows of people who were erased since is trained anew, from the recipe's base. ``add``: files
    with more labelled rows, in the columns of a source of the recipe. ``on``: only where that, or an erasure, calls
    for it, for a timer to ask often.
    Where no row is new, none is corrected and none leaves, no run is begun: equal rows give an equal model.
    Raises: RecipeError for a model that is no head's, StoreError where its recipe or rows are gone, Denied where none
        of its sources may be used any more.
    """
    version, alias = _champion(session, reference)
    name = f"{version.name}@{version.version}"
    parent = _recipe(session, version)
    store = ArtifactStore(session.workspace, session.ledger)
    splits = store.load(find_champion(store, name, parent.task).splits)
    gone = _gone(parent, splits)
    carried = permission.carried(store, name, parent)
    without = tuple(dict.fromkeys([*permission.withdrawn(session.ledger, parent), *carried]))
    gone = {source: path for source, path in gone.items() if source not in without}
    told = told_of(session, version.name, parent, splits, without)
    erased = anew.stale_by(session, version)
    if erased:
        why, is_called = anew.call_of(session, version, erased, is_timer=on is not None)
    else:
        why, is_called = _call(session, name, parent, told.num_unlearned, on)
    cause: Cause = "erasure" if erased else on or "by hand"
    if not is_called:
        return Retrained(name, cause, why, len(told), len(told.old), without, gone, None)
    table = _child(session, store, splits, version, parent, without, gone, told, add)
    # The challenger takes the place of the model that it was measured against, not that of another.
    table["serve"]["alias"] = alias or parent.serve.alias
    if erased:
        table["champion"]["from_weights"] = False
    recipe = load(table, overrides)
    if erased and isinstance(recipe, Recipe):
        why = f"{why}: {anew.words_of(recipe)}"
        anew.check_base(session, recipe)
    try:
        result = start_run(session, recipe, until, cause=cause)
    except NothingNew as error:
        why = NOTHING_NEW if on is None else f"{why}; {NOTHING_NEW}"
        return Retrained(name, cause, why, len(told), len(told.old), without, gone, None, error.counts)
    return Retrained(name, cause, why, len(told), len(told.old), without, gone, result)


def _champion(session: Session, reference: str) -> tuple[ModelVersion, str | None]:
    """The version that is to be trained again, and the alias by which it is meant; None for a bare version."""
    name, _, which = reference.partition("@")
    if not which:
        mine = [one for one in session.ledger.models() if one.name == name]
        aliases = sorted({alias for one in mine for alias in one.aliases})
        # With several, the one that recipes release to by default; an unknown name is told by the ledger.
        which = aliases[0] if len(aliases) == 1 else "production"
    found = session.ledger.resolve(name, which)
    return found, which if which in found.aliases else None


def _recipe(session: Session, version: ModelVersion) -> Recipe:
    """The recipe that made a version."""
    name = f"{version.name}@{version.version}"
    parent = recipe_of(session, version)
    if parent is None:
        raise StoreError(
            f"the recipe that made `{name}` is gone",
            seen=f"run {version.run_id}",
            next="write `champion: {model: " + name + "}` into a recipe, and `tunesmith run` it",
        )
    if not isinstance(parent, Recipe):
        raise RecipeError(
            "a model that writes text is trained again by a recipe of its own",
            seen=f"{name}: task {parent.task}",
            next=f"write `model: {name}` into the recipe, and `tunesmith run` it",
        )
    return parent


def _call(session: Session, name: str, recipe: Recipe, num_told: int, on: str | None) -> tuple[str, bool]:
    """What calls for a new training, in words, and whether it does."""
    if on is None:
        return "asked for by hand", True
    if on == "labels":
        least = recipe.monitor.feedback.min_rows
        return f"{num_told:,} of {least:,} rows with a true label", num_told >= least
    found = monitor(session, name)
    if not found.is_alert:
        return "no drift is shown", False
    return "; ".join(str(one["words"]) for one in found.causes), True


def _child(
    session: Session,
    store: ArtifactStore,
    splits: Artifact,
    version: ModelVersion,
    parent: Recipe,
    without: tuple[str, ...],
    gone: Mapping[str, str],
    told: Told,
    add: Sequence[Path],
) -> dict[str, Any]:
    """The recipe of the challenger, as JSON values."""
    table = parent.model_dump(mode="json")
    # Rows that were added once are among the champion's; their file may be gone.
    before = [one for one in splits.facts["by_source"] if one.startswith(ADDED)]
    dropped = {*without, *parent.text_sources, *before, FEEDBACK, CORRECTIONS}
    sources = [one for one in table["data"]["sources"] if one["name"] not in dropped]
    sources += told.sources(session, parent)
    sources += [_added(path, f"{ADDED}{number}", parent) for number, path in enumerate(add, _next(before))]
    if all(one["name"] == CORRECTIONS for one in sources):
        raise Denied(
            "no source of this model is left that may be used",
            seen=", ".join(f"{one}: withdrawn" for one in without) or "its rows are of files that were added once",
            next="give a file of rows by `--add FILE`, or `tunesmith data permit SOURCE` where that is right",
        )
    table["data"] |= {"sources": sources, "augment": None}
    table["train"] = _settings(store, version, parent)
    table["tune"] = None
    table["champion"] = {"model": f"{version.name}@{version.version}", "without": list(without), "held": list(gone)}
    if told.old:
        table["champion"]["corrections"] = CORRECTIONS
    return table


def _gone(recipe: Recipe, splits: Artifact) -> dict[str, str]:
    """The sources that the champion has rows of and whose file or folder is no longer there, with the path."""
    held = {name for name, rows in splits.facts["by_source"].items() if rows["kept"]}
    paths = {one.name: getattr(one, "path", None) for one in recipe.data.sources if one.name in held}
    return {
        name: str(path)
        for name, path in paths.items()
        if path is not None and not Path(path).exists() and not is_several(path)
    }


def _next(names: Sequence[str]) -> int:
    """The number of the next file: one name never means two files, for a source is withdrawn by its name."""
    numbers = [name.removeprefix(ADDED) for name in names]
    return 1 + max((int(one) for one in numbers if one.isdigit()), default=0)


def _settings(store: ArtifactStore, version: ModelVersion, parent: Recipe) -> dict[str, Any]:
    """The settings that the champion was trained with: those that tuning found, else the recipe's."""
    if parent.tune is None:
        return parent.head_phase.model_dump(mode="json")
    found = [store.ledger.artifact(digest) for digest in store.load(version.digest).parents]
    settings = next((one.digest for one in found if one.kind == "settings"), None)
    if settings is None:
        return parent.head_phase.model_dump(mode="json")
    text = (store.load(settings).path / "settings.json").read_text(encoding="utf-8")
    return {key: value for key, value in json.loads(text)["train"].items() if key in TrainConfig.model_fields}


def _added(path: Path, name: str, recipe: Recipe) -> dict[str, Any]:
    """A file of more rows as a source, its columns named as in the first source of the recipe that fits it.

    Raises: RecipeError where none does, with the columns there are; DataError where there is no such file.
    """
    if not is_table(path):
        raise RecipeError(
            "more rows come from a file of rows",
            seen=str(path),
            allowed=f"{', '.join(dict.fromkeys(TABLE_SUFFIXES))}, packed or not",
            next="--add later.csv",
        )
    kind = told_kind(require_file(path, source=path.name))
    wire = wiring.wire("source", kind)
    file: dict[str, Any] = {"kind": kind, "name": name, "path": str(path.resolve())}
    there = tuple(wiring.load(wire.make)(wiring.load(str(wire.config)).model_validate(file)).describe().columns)
    for source in recipe.data.sources:
        needed = [right for left, right in source.columns.items() if left.split(":")[0] in ("text", "label")]
        if source.columns and set(needed) <= set(there):
            columns = {left: right for left, right in source.columns.items() if right in there}
            break
        if not source.columns and {"text", "label"} <= set(there):
            columns = {}
            break
    else:
        wanted = [", ".join(source.columns.values()) or "text, label" for source in recipe.data.sources]
        raise RecipeError(
            f"{path.name} has not the columns of any source of the recipe",
            seen=", ".join(there[:20]),
            allowed=" or ".join(dict.fromkeys(wanted)),
            next="name its columns as that source does",
        )
    return {**file, "columns": columns, "purpose": source.purpose, "licence": source.licence}
