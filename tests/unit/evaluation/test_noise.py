"""What perturbed texts do to a model: by hand on answers that are known."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.measures_config import RobustnessConfig
from tunesmith.evaluation.noise import chosen_rows, holm, noise_facts, perturbed
from tunesmith.metrics import table

TRUTH = np.array(["a", "b"] * 50)
OTHER = np.array(["b", "a"] * 50)


def wrong_on(rows: slice) -> np.ndarray:
    answers = TRUTH.copy()
    answers[rows] = OTHER[rows]
    return answers


def facts(clean: np.ndarray, **by_kind: np.ndarray) -> dict[str, object]:
    return noise_facts(
        "classify",
        table.METRICS["accuracy"],
        TRUTH,
        clean,
        by_kind,
        dict.fromkeys(by_kind, 100),
        confidence=0.95,
        num_samples=300,
        seed=0,
    )


def test_the_drop_the_average_and_the_worst_case_by_hand() -> None:
    clean = wrong_on(slice(0, 10))
    found = facts(clean, typos=wrong_on(slice(0, 40)), case=wrong_on(slice(80, 100)))
    kinds, worst, average = found["kinds"], found["worst"], found["average"]
    assert found["clean"]["value"] == 0.9
    assert kinds["typos"]["value"] == 0.6 and kinds["typos"]["drop"]["value"] == pytest.approx(0.3)
    assert kinds["typos"]["flipped"] == 0.3 and kinds["typos"]["drop"]["verdict"] == "shown"
    assert kinds["case"]["flipped"] == 0.3, "ten rows became right and twenty wrong: all of them changed"
    assert kinds["case"]["drop"]["value"] == pytest.approx(0.1) and kinds["case"]["drop"]["verdict"] == "not shown"
    assert average["value"] == pytest.approx(0.7) and average["low"] < 0.7 < average["high"]
    # Wrong under any: rows 0 to 39 and 80 to 99.
    assert worst["value"] == pytest.approx(0.4) and worst["flipped"] == pytest.approx(0.6)
    assert worst["drop"]["low"] < worst["drop"]["value"] < worst["drop"]["high"]


def test_answers_that_do_not_change_lose_nothing() -> None:
    found = facts(wrong_on(slice(0, 10)), typos=wrong_on(slice(0, 10)))
    assert found["kinds"]["typos"]["drop"]["value"] == 0 and found["kinds"]["typos"]["flipped"] == 0
    assert found["kinds"]["typos"]["drop"]["verdict"] == "not shown"
    assert found["worst"]["value"] == found["clean"]["value"]


def test_of_numbers_the_worst_is_the_farthest_off_and_a_loss_is_positive() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=80)
    columns = {"typos": truth + 1.0, "case": truth - 2.0}
    found = noise_facts(
        "regress",
        table.METRICS["mae"],
        truth,
        truth + 0.1,
        columns,
        {"typos": 80, "case": 80},
        confidence=0.95,
        num_samples=300,
        seed=0,
    )
    assert found["worst"]["value"] == pytest.approx(2) and found["average"]["value"] == pytest.approx(1.5)
    assert found["kinds"]["typos"]["drop"]["value"] == pytest.approx(0.9)
    assert found["kinds"]["typos"]["drop"]["verdict"] == "shown"


def test_p_values_are_corrected_by_holm() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({}) == {}


def test_what_happens_to_a_row_hangs_on_seed_kind_and_row_alone() -> None:
    config = RobustnessConfig(kinds=("typos", "case"))
    texts = ["please cancel my order today", "where is my parcel now", "refund me"]
    both = perturbed(texts, ["r1", "r2", "r3"], config, 0)
    alone = perturbed(texts[2:], ["r3"], config, 0)
    assert [one.texts[2] for one in both] == [one.texts[0] for one in alone]
    assert [one.kind for one in both] == ["typos", "case"] and both[0].num_changed == 3
    assert perturbed(texts, ["r1", "r2", "r3"], config, 1) != both


def test_rows_are_drawn_by_the_seed_and_keep_their_order() -> None:
    assert chosen_rows(5, 20, 0).tolist() == [0, 1, 2, 3, 4]
    drawn = chosen_rows(1000, 20, 0)
    assert len(set(drawn.tolist())) == 20 and sorted(drawn.tolist()) == drawn.tolist()
    assert drawn.tolist() == chosen_rows(1000, 20, 0).tolist() != chosen_rows(1000, 20, 1).tolist()
