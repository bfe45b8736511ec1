"""What the tune stage is told, and what may be varied."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tunesmith.core import digests
from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.core.kinds import one_of
from tunesmith.core.search import Choice, Dimension, Range, Values
from tunesmith.training import vetted
from tunesmith.training.config import Task, TrainConfig, TrainStageConfig
from tunesmith.training.decision_config import DecisionConfig

if TYPE_CHECKING:
    AnySearcher = Any
else:
    AnySearcher = one_of("searcher")

SECTION = "train"
ONCE = ("max_tokens", "length_policy", "pooling", "precision")
"""Settings that the features were made with, once for all trials."""
NO_RESULT = ("checkpoint_every_s", "microbatch_tokens")
"""Settings of memory and speed."""
HEAD_ONLY = "head"


class TuneStageConfig(Config):
    """A search over settings of one phase."""

    task: Task
    """What the model answers with."""
    train: TrainConfig
    """The phase as the recipe has it; a trial changes some of its settings."""
    decision: DecisionConfig = DecisionConfig()
    """How the trained model decides; no part of the search."""
    space: dict[str, Range | Choice]
    """What is varied, by dotted key."""
    searcher: AnySearcher
    """How settings are drawn, and which trials go on."""
    trials: int | None = None
    """The most trials; null: as many as the budget lasts for."""
    budget_s: float | None = None
    """Seconds the search may take; null: until all trials are done."""


def overridden(train: TrainConfig, settings: Values, task: Task) -> TrainConfig:
    """The phase with some of its settings changed; another ``kind`` begins without the old one's settings.

    Raises: pydantic's ValidationError where a value does not fit.
    """
    data = train.model_dump(mode="json")
    # Kinds first: they say which other settings there are.
    for key in sorted(settings, key=lambda one: (not one.endswith(".kind"), one)):
        _, *path, last = key.split(".")
        here = data
        for step in path:
            if here.get(step) is None:
                here[step] = {"kind": vetted.METHODS[task][0]} if step == "method" else {}
            here = here[step]
        if last == "kind" and here.get("kind") != settings[key]:
            here.clear()
        here[last] = settings[key]
    return TrainConfig.model_validate(data)


def resolved(train: TrainConfig, task: Task, space: Mapping[str, Dimension]) -> dict[str, Dimension]:
    """The space with every range told whether it holds whole numbers only.

    Raises: RecipeError where a key or one of its values cannot be.
    """
    return {key: resolve(train, task, space, key) for key in space}


def resolve(train: TrainConfig, task: Task, space: Mapping[str, Dimension], key: str) -> Dimension:
    """One dimension of a space, checked at its ends with every kind that the space may choose.

    Raises: RecipeError naming the nearest key, or what the value clashes with.
    """
    dimension = space[key]
    kinds = list(_kinds(space))
    for settings in kinds:
        if key not in settings:
            _check_key(train, task, settings, key)
    if isinstance(dimension, Range) and dimension.whole is None:
        between = dimension.low + (dimension.high - dimension.low) / math.pi
        takes_any = all(_fits(train, task, {**settings, key: between}) for settings in kinds)
        dimension = dimension.model_copy(update={"whole": not takes_any})
        if dimension.whole and not (isinstance(dimension.low, int) and isinstance(dimension.high, int)):
            _raise_misfit(train, task, kinds[0], key, dimension.low)
    ends = dimension.choice if isinstance(dimension, Choice) else (dimension.low, dimension.high)
    for settings, value in itertools.product(kinds, ends):
        if not _fits(train, task, {**settings, key: value}):
            _raise_misfit(train, task, settings, key, value)
    return dimension


def default_space(train: TrainConfig, task: Task) -> dict[str, Dimension]:
    """What is varied where a recipe does not say: rates within five times the phase's own, batch and dropout."""
    own = train.for_task(task)
    found: dict[str, Dimension] = {}
    if own.trainable.kind != HEAD_ONLY:
        found[f"{SECTION}.optimizer.lr"] = _around(own.lr)
    found[f"{SECTION}.head_lr"] = _around(own.head_lr)
    found[f"{SECTION}.batch"] = Choice(choice=(16, 32, 64))
    found[f"{SECTION}.dropout"] = Range(low=0.0, high=0.5 if own.trainable.kind == HEAD_ONLY else 0.3, whole=False)
    return found


def phases(train: TrainConfig, task: Task, space: Mapping[str, Dimension]) -> tuple[TrainStageConfig, ...]:
    """The phases that differ in what is trained.

    Raises: RecipeError where two of them need activations cut at different depths.
    """
    ends = {
        key: one.choice if isinstance(one, Choice) else (one.low, one.high)
        for key, one in space.items()
        if key.startswith(f"{SECTION}.trainable")
    }
    combined = (dict(zip(ends, values, strict=True)) for values in itertools.product(*ends.values()))
    found = tuple(overridden(train, settings, task).for_task(task) for settings in combined)
    cuts = {digests.of_value(one.layers().model_dump(mode="json")) for one in found if "layers" in one.trainable.needs}
    if len(cuts) > 1:
        raise RecipeError(
            "the depth of what is trained cannot be tuned: the activations below it are made once for all trials",
            seen=", ".join(ends),
            next="choose one depth under `train.trainable`, or tune `train.trainable.kind`",
        )
    return found


def own_settings(train: TrainConfig, task: Task, space: Mapping[str, Dimension]) -> dict[str, Any]:
    """The phase's own value for each key of a space."""
    flat = dict(_flat(train.for_task(task).model_dump(mode="json"), SECTION))
    # Epochs left open follow from the rows, which are not known here.
    return {key: flat.get(key) for key in space}


def _around(rate: float) -> Range:
    return Range(low=float(f"{rate / 5:.3g}"), high=min(10.0, float(f"{rate * 5:.3g}")), log=True, whole=False)


def _kinds(space: Mapping[str, Dimension]) -> Iterator[dict[str, Any]]:
    """Every combination of the kinds that a space may choose."""
    choices = {key: one.choice for key, one in space.items() if isinstance(one, Choice) and key.endswith(".kind")}
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def _check_key(train: TrainConfig, task: Task, kinds: Values, key: str) -> None:
    known = dict(_flat(overridden(train, kinds, task).for_task(task).model_dump(mode="json"), SECTION))
    known.pop(f"{SECTION}.task")
    name = key.removeprefix(f"{SECTION}.").split(".")[0]
    if name in (*ONCE, *NO_RESULT) and key.startswith(f"{SECTION}."):
        why = "the features are made with it before the first trial" if name in ONCE else "it changes no result"
        raise RecipeError(f"`{key}` cannot be tuned: {why}", seen=key, next=f"set it under `train:`: `{name}: …`")
    if key in known or any(one.startswith(f"{key}.") for one in known):
        return
    last = key.split(".")[-1]
    near = [one for one in known if one.split(".")[-1] == last] or difflib.get_close_matches(key, known, n=1)
    near = near or difflib.get_close_matches(f"{SECTION}.{key}", known, n=1)
    told = "".join(f", with `{name}: {value}`" for name, value in kinds.items())
    raise RecipeError(
        f"there is no setting `{key}` to tune{told}",
        seen=key,
        allowed="settings under `train`, dotted: train.optimizer.lr, train.batch, train.epochs …",
        next=f"did you mean `{near[0]}`?" if near else None,
    )


def _fits(train: TrainConfig, task: Task, settings: Values) -> bool:
    return _misfit(train, task, settings) is None


def _misfit(train: TrainConfig, task: Task, settings: Values) -> str | None:
    """Why the phase cannot have these settings."""
    try:
        overridden(train, settings, task).for_task(task)
    except ValidationError as error:
        return "; ".join(dict.fromkeys(one["msg"] for one in error.errors()))
    except RecipeError as error:
        return error.what
    return None


def _raise_misfit(train: TrainConfig, task: Task, kinds: Values, key: str, value: Any) -> None:
    why = _misfit(train, task, {**kinds, key: value})
    told = "".join(f" with `{name}: {kind}`" for name, kind in kinds.items() if name != key)
    raise RecipeError(
        f"`{key}` cannot be {value!r}{told}", seen=value, allowed=why, next="choose ends that the setting itself allows"
    )


def _flat(data: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        key = f"{prefix}.{name}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, key)
        else:
            yield key, value
