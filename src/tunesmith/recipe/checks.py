"""What cannot be said together in a recipe: each check names the cause and the way out."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from tunesmith.core import wiring
from tunesmith.core.errors import RecipeError
from tunesmith.data.sources.config import LABEL_COLUMN
from tunesmith.evaluation.config import BASELINES, check_gate
from tunesmith.metrics import table
from tunesmith.recipe import adapt_checks, champion, column_checks, measure_checks
from tunesmith.recipe.problems import Problem
from tunesmith.recipe.yaml12 import Path
from tunesmith.selection.config import AUTO, RANKED_TASKS
from tunesmith.training import conflicts, tune_config

if TYPE_CHECKING:
    from tunesmith.recipe.recipe import Recipe
    from tunesmith.recipe.sections import AnyRecipe

LOSS = "loss"


def problems(recipe: Recipe) -> Iterator[Problem]:
    """Everything in a recipe that does not go together."""
    for check in (
        names_differ,
        _roles,
        _labels,
        _columns,
        column_checks.problems,
        _split,
        _label_errors,
        _augment,
        _method,
        _early_stopping,
        adapt_checks.problems,
        champion.problems,
        _model,
        _tune,
        _baselines,
        _gate,
        measure_checks.problems,
    ):
        yield from check(recipe)


def names_differ(recipe: AnyRecipe) -> Iterator[Problem]:
    """Sources that are called alike."""
    counts = Counter(source.name for source in recipe.data.sources)
    for index, source in enumerate(recipe.data.sources):
        if counts[source.name] > 1:
            yield Problem(
                ("data", "sources", index, "name"),
                f"two sources are called `{source.name}`",
                seen=source.name,
                next="give each source a name of its own: lineage and reports tell them apart by it",
            )


def _roles(recipe: Recipe) -> Iterator[Problem]:
    for index, source in enumerate(recipe.data.sources):
        if source.name in recipe.text_sources:
            continue  # looked at with the phases that read it
        for role in ("text", "label"):
            has_parts = role == "label" and any(left.startswith(LABEL_COLUMN) for left in source.columns)
            has_parts = has_parts or column_checks.may_be_made(recipe, role)
            if source.columns and role not in source.columns and not has_parts:
                yield Problem(
                    ("data", "sources", index, "columns"),
                    f"the source `{source.name}` says which columns to read, and none of them is the {role}",
                    seen=", ".join(f"{left}: {right}" for left, right in source.columns.items()),
                    next=f"add `{role}: <the column's name>`",
                )


def _labels(recipe: Recipe) -> Iterator[Problem]:
    """Several label columns need a task that has several answers; a decision needs the task it is about."""
    if recipe.task == "classify" and len(recipe.label_columns) > 0:
        yield Problem(
            ("task",),
            "`classify` gives a text one label, and the recipe maps a list of columns to it",
            seen=", ".join(recipe.label_columns),
            next="write `task: tag` for any number of labels, or map one column to `label`",
        )
    mixed = [one.name for one in recipe.data.sources if one.columns and "label" in one.columns]
    if recipe.task == "regress" and len(recipe.label_columns) > 1 and mixed:
        yield Problem(
            ("data", "sources"),
            "some sources map one target and others several",
            seen=f"one in {', '.join(mixed)}; elsewhere {', '.join(recipe.label_columns)}",
            next="give every source the same list under `columns: {label: [...]}`",
        )
    if recipe.decision.reject is not None and recipe.task != "classify":
        yield Problem(
            ("decision", "reject"),
            f"rejection is of `classify`; `{recipe.task}` "
            + ("gives a text no label where it knows none" if recipe.task == "tag" else "always gives a number"),
            next="leave `decision.reject` out",
        )
    may_be_given = any(one.split == "validation" or "split" in one.columns for one in recipe.data.sources)
    if recipe.data.split.validation == 0 and not may_be_given:
        asked = [("reject", recipe.decision.reject is not None)]
        asked += [("thresholds", recipe.task == "tag" and not isinstance(recipe.decision.thresholds, float))]
        for key, is_asked in asked:
            if is_asked:
                yield Problem(
                    ("decision", key),
                    "it is calibrated on validation rows, and there are none",
                    seen="data.split.validation: 0",
                    next="write `data: {split: {validation: 0.1}}`"
                    + (", or a number for `decision.thresholds`" if key == "thresholds" else ""),
                )


def _columns(recipe: Recipe) -> Iterator[Problem]:
    """Columns that later keys name must be among those the sources give, where none of them gives all it has."""
    if not all(source.columns for source in recipe.data.sources):
        return
    if not all(join.table.columns for join in recipe.data.joins):
        return
    known = list(dict.fromkeys(left for source in recipe.data.sources for left in source.columns))
    known += [name for name in column_checks.added(recipe) if name not in known]
    named: list[tuple[Path, str | None]] = [
        (("data", "split", "group_by"), recipe.data.split.group_by),
        (("data", "split", "stratify_by"), recipe.data.split.stratify_by),
        (("data", "split", "by_time"), recipe.data.split.by_time),
    ]
    for index, rule in enumerate(recipe.data.rules):
        path: Path = ("data", "rules", index)
        named += [((*path, "column"), rule.column), ((*path, "equals_column"), rule.equals_column)]
        named += [((*path, "differs_from"), rule.differs_from)]
        named += [((*path, "when", "column"), rule.when.column if rule.when else None)]
    for where, column in named:
        if column is not None and column not in known:
            near = difflib.get_close_matches(column, known, n=1)
            yield Problem(
                where,
                f"no source gives a column `{column}`",
                seen=column,
                allowed=", ".join(known),
                next=f"did you mean `{near[0]}`?" if near else f"add it under `columns` of a source: `{column}: …`",
            )


def _split(recipe: Recipe) -> Iterator[Problem]:
    yield from from_error(("data", "split", "stratify_by"), recipe.for_prepare)


def _label_errors(recipe: Recipe) -> Iterator[Problem]:
    if recipe.data.label_errors is not None and recipe.task != "classify":
        yield Problem(
            ("data", "label_errors"),
            f"wrong labels are looked for where every row has one label, and the task is `{recipe.task}`",
            seen=f"task: {recipe.task}",
            allowed="task: classify",
            next="leave `data.label_errors` out",
        )


def _augment(recipe: Recipe) -> Iterator[Problem]:
    augment = recipe.data.augment
    if augment is None:
        return
    if augment.labels_below is not None and recipe.task != "classify":
        yield Problem(
            ("data", "augment", "labels_below"),
            f"rare labels are counted where every row has one label, and the task is `{recipe.task}`",
            seen=f"labels_below: {augment.labels_below}",
            next="leave `labels_below` out: every row is used",
        )
    if not has_validation(recipe):
        yield Problem(
            ("data", "augment"),
            "augmentation is kept only if the validation rows show a gain, and there are none",
            seen="data.split.validation: 0",
            next="write `data: {split: {validation: 0.1}}`, or leave `data.augment` out",
        )


def has_validation(recipe: Recipe) -> bool:
    """Whether there may be validation rows."""
    sources = recipe.data.sources
    may_be_given = any(one.split == "validation" or "split" in one.columns or not one.columns for one in sources)
    return recipe.data.split.validation > 0 or may_be_given


def _method(recipe: Recipe) -> Iterator[Problem]:
    clashes = list(conflicts.found(recipe.head_phase, recipe.task))
    for key, error in clashes:
        yield from from_error((*_head_path(recipe), key), partial(_raised, error))
    if not clashes:
        yield from from_error((*_head_path(recipe), "method"), recipe.for_train)


def _head_path(recipe: Recipe) -> Path:
    """Where the head's phase stands."""
    return ("train", len(recipe.adapt_phases)) if isinstance(recipe.train, tuple) else ("train",)


def _raised(error: RecipeError) -> None:
    raise error


def _early_stopping(recipe: Recipe) -> Iterator[Problem]:
    stopping = recipe.head_phase.early_stopping
    if stopping is None:
        return
    if not has_validation(recipe):
        yield Problem(
            (*_head_path(recipe), "early_stopping"),
            "early stopping looks at validation rows, and there are none",
            seen="data.split.validation: 0",
            next="write `data: {split: {validation: 0.1}}`, or leave `train.early_stopping` out",
        )
    if stopping.metric not in (None, LOSS):
        metric = stopping.metric
        yield from from_error(
            (*_head_path(recipe), "early_stopping", "metric"), lambda: table.find(metric, recipe.task)
        )


def _model(recipe: Recipe) -> Iterator[Problem]:
    is_ranked = recipe.model == AUTO or not isinstance(recipe.model, str)
    if is_ranked and recipe.task not in RANKED_TASKS:
        yield Problem(
            ("model",),
            f"models cannot be ranked for the task `{recipe.task}` yet",
            seen=f"model: {recipe.model if isinstance(recipe.model, str) else list(recipe.model)}",
            allowed=", ".join(RANKED_TASKS),
            next="name one model, or leave `model` out for the embedded one",
        )


def _tune(recipe: Recipe) -> Iterator[Problem]:
    if recipe.tune is None or list(_method(recipe)):
        return
    if not has_validation(recipe):
        yield Problem(
            ("tune",),
            "tuning looks at validation rows, and there are none",
            seen="data.split.validation: 0",
            next="write `data: {split: {validation: 0.1}}`, or leave `tune` out",
        )
    space = recipe.tune.space or {}
    found = [
        problem
        for key in space
        for problem in from_error(
            ("tune", "space", key), partial(tune_config.resolve, recipe.head_phase, recipe.task, space, key)
        )
    ]
    yield from found
    if not found:
        yield from from_error(("tune", "space"), recipe.phases)


def _baselines(recipe: Recipe) -> Iterator[Problem]:
    counts = Counter(recipe.evaluate.baselines or ())
    for index, name in enumerate(recipe.evaluate.baselines or ()):
        path: Path = ("evaluate", "baselines", index)
        if counts[name] > 1:
            yield Problem(path, f"the baseline `{name}` stands twice", seen=name, next="name each baseline once")
        if name in BASELINES[recipe.task]:
            continue
        known = wiring.rows("baseline")
        # A baseline added from outside says itself which tasks it answers.
        if name in known and recipe.task in wiring.load(known[name].make).tasks:
            continue
        near = difflib.get_close_matches(name, BASELINES[recipe.task], n=1)
        yield Problem(
            path,
            f"the baseline `{name}` does not {recipe.task}" if name in known else f"there is no baseline `{name}`",
            seen=name,
            allowed=", ".join(BASELINES[recipe.task]),
            next=f"did you mean `{near[0]}`?" if near else "leave `evaluate.baselines` out to run all of the task",
        )


def _gate(recipe: Recipe) -> Iterator[Problem]:
    for metric, rule in (recipe.gate or {}).items():
        yield from from_error(("gate", metric), partial(check_gate, {metric: rule}, recipe.task, recipe.baselines))


def from_error(path: Path, check: Callable[[], object]) -> Iterator[Problem]:
    """The problem that a check raises, at a path."""
    try:
        check()
    except RecipeError as error:
        parts = (error.seen, error.allowed, error.next)
        seen, allowed, way_out = (None if part is None else str(part) for part in parts)
        yield Problem(path, error.what, seen, allowed, way_out)
    except ValueError as error:  # pydantic's own: the reason is the last thing it says
        reasons = [one["msg"] for one in error.errors()] if hasattr(error, "errors") else [str(error)]
        for reason in reasons:
            yield Problem(path, reason.removeprefix("Value error, "))
