"""The table of metrics."""

from __future__ import annotations

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.core.tasks import TASKS
from tunesmith.metrics import table


def test_every_metric_says_what_it_is_and_improves_in_its_direction() -> None:
    columns = {
        "classify": (["a", "b", "a"], ["a", "b", "a"], ["b", "a", "b"]),
        "regress": ([1.0, 2.0, 4.0], [1.1, 2.0, 3.9], [4.0, 2.5, 1.0]),
    }
    columns["tag"] = ([[1, 0], [0, 1], [1, 1]], [[1, -1], [-1, 1], [1, 2]], [[-1, 1], [1, -1], [-1, -1]])  # type: ignore[assignment]
    for task, (targets, good, bad) in columns.items():
        for name, metric in table.of_task(task).items():  # type: ignore[arg-type]
            assert metric.name == name and metric.doc.endswith((".", ";", ")."))
            assert (metric(targets, good) > metric(targets, bad)) == metric.higher_is_better
            assert table.METRICS[name].higher_is_better == metric.higher_is_better


def test_an_unknown_metric_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError) as caught:
        table.find("f1_marco", "classify")
    assert caught.value.next == "did you mean `f1_macro`?"
    with pytest.raises(RecipeError):
        table.find("mse", "classify")


def test_each_task_has_its_primary_metric() -> None:
    named = {task: table.find(name, task).name for task, name in table.PRIMARY.items()}
    assert named == table.PRIMARY and set(named) == set(TASKS)
