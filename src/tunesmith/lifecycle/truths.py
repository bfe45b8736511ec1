"""The true answer that somebody tells of a prediction, checked against what the model can answer."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any

from tunesmith.core.errors import RecipeError


def checked(truth: Any, facts: Mapping[str, Any], model: str, *, is_new_allowed: bool) -> Any:
    """The truth in the form of the task's targets.

    Raises: RecipeError for another form, for a label the model does not know unless ``is_new_allowed``, and for a model
        that answers with neither.
    """
    task = str(facts.get("task"))
    check: dict[Any, Callable[[], Any]] = {
        "classify": lambda: truth if isinstance(truth, str) and truth else None,
        "tag": lambda: _names(truth),
        "regress": lambda: _numbers(truth, list(facts.get("targets") or ())),
    }
    if task not in check:
        raise RecipeError(
            f"`{model}` writes text, and feedback is a label or a number",
            seen=f"task: {task}",
            next="see tunesmith chat",
        )
    told = check[task]()
    if told is None:
        targets = ", ".join(facts.get("targets") or ())
        numbers = f"`value`: a number for each of {targets}" if targets else "`value`: one number"
        allowed = {"classify": "`label`: one label", "tag": "`labels`: a list of labels", "regress": numbers}
        raise RecipeError(f"`{model}` answers in another form", seen=_shown(truth), allowed=allowed[task])
    labels = list(facts.get("labels") or ())
    strange = (
        [] if task == "regress" else [one for one in ([told] if task == "classify" else told) if one not in labels]
    )
    if strange and not is_new_allowed:
        near = difflib.get_close_matches(strange[0], labels, n=1)
        raise RecipeError(
            f"`{model}` does not know the label `{strange[0][:80]}`",
            seen=_shown(truth),
            allowed=", ".join(labels[:12]) + (f" and {len(labels) - 12} more" if len(labels) > 12 else ""),
            next=(f"did you mean `{near[0]}`? For" if near else "for")
            + " labels to be learned later, write `monitor: {feedback: {new_labels: true}}` into the recipe and run it",
        )
    return told


def _names(truth: Any) -> list[str] | None:
    given = [truth] if isinstance(truth, str) else truth
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) and one for one in given):
        return None
    return sorted(set(given))


def _numbers(truth: Any, targets: list[str]) -> Any:
    if targets and isinstance(truth, dict) and set(truth) == set(targets):
        truth = [truth[name] for name in targets]
    given = truth if targets and isinstance(truth, list | tuple) else [truth]
    is_right = len(given) == max(1, len(targets)) and all(
        isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in given
    )
    return None if not is_right else [float(one) for one in given] if targets else float(given[0])


def _shown(truth: Any) -> str:
    return repr(truth)[:120]
