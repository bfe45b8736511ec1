"""The train phase: vetted settings are filled in once, and the stage's config is whole."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tunesmith.core import wiring
from tunesmith.core.errors import RecipeError
from tunesmith.training import vetted
from tunesmith.training.config import TrainConfig, TrainStageConfig


@pytest.mark.parametrize("trainable", sorted(vetted.VETTED))
@pytest.mark.parametrize("optimizer", sorted(wiring.rows("optimizer")))
def test_what_is_left_open_takes_the_vetted_setting(trainable: str, optimizer: str) -> None:
    config = TrainConfig.model_validate({"trainable": trainable, "optimizer": optimizer}).for_task("classify")
    good = vetted.VETTED[trainable]
    assert (config.lr, config.head_lr) == (vetted.rate(good.lr, optimizer), vetted.rate(good.head_lr, optimizer))


@pytest.mark.parametrize("trainable", ["full", "head"])
def test_few_rows_are_passed_over_more_often(trainable: str) -> None:
    config = TrainConfig.model_validate({"trainable": trainable, "batch": 10}).for_task("classify")
    good, most = vetted.VETTED[trainable], vetted.MOST_EPOCHS[trainable]
    assert config.num_epochs(1_000_000) == good.epochs
    assert config.num_epochs(1) == most
    # Rows for which the passes lie between the two: they give just enough steps.
    between = 10 * good.enough_steps // (good.epochs + most) * 2
    assert (config.num_epochs(between) - 1) * -(-between // 10) < good.enough_steps
    assert config.num_epochs(between) * -(-between // 10) >= good.enough_steps


def test_what_is_said_stays() -> None:
    given = {"optimizer": {"lr": 0.5}, "head_lr": 0.25, "epochs": 9, "method": "regress"}
    config = TrainConfig.model_validate(given).for_task("regress")
    assert (config.lr, config.head_lr, config.epochs, config.method.kind) == (0.5, 0.25, 9, "regress")
    assert config.num_epochs(1) == 9


@pytest.mark.parametrize("task", ["classify", "regress"])
def test_the_stages_config_survives_json(task: Any) -> None:
    config = TrainConfig().for_task(task)
    assert config.method.kind == task
    assert TrainStageConfig.model_validate_json(config.model_dump_json()) == config


def test_another_tasks_method_is_refused() -> None:
    with pytest.raises(RecipeError, match="does not answer the task `classify`"):
        TrainConfig.model_validate({"method": "regress"}).for_task("classify")


def test_a_stage_without_a_rate_is_refused() -> None:
    fields = TrainConfig().for_task("classify").model_dump() | {"optimizer": {"kind": "adamw", "lr": None}}
    with pytest.raises(ValidationError, match="the learning rate is open"):
        TrainStageConfig.model_validate(fields)


def test_the_features_stage_sees_what_shapes_the_input() -> None:
    train = TrainConfig.model_validate({"max_tokens": 64, "length_policy": "truncate_left", "pooling": "cls"})
    features = train.features()
    assert (features.max_tokens, features.length_policy, features.pooling) == (64, "truncate_left", "cls")


@pytest.mark.parametrize(("warmup", "meaning"), [(0, 0), (1, 1), (100, 100), (0.0, 0.0), (0.1, 0.1)])
def test_warmup_is_steps_or_a_share(warmup: float, meaning: float) -> None:
    found = TrainConfig.model_validate({"schedule": {"warmup": warmup}}).schedule.warmup
    assert found == meaning
    assert type(found) is type(meaning)


@pytest.mark.parametrize(
    "field",
    [
        {"schedule": {"warmup": 1.0}},
        {"schedule": {"warmup": True}},
        {"optimizer": {"lr": float("nan")}},
        {"clip": float("inf")},
        {"optimizer": {"lr": "1e-4"}},
        {"batch": 0},
        {"batch": 2.5},
        {"dropout": 1.0},
        {"method": {"kind": "classify", "class_weights": {"a": float("inf")}}},
    ],
)
def test_values_without_a_meaning_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainConfig.model_validate(field)
