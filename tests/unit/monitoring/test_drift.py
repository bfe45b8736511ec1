"""All tests of a check together, and what is measured of texts."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.monitoring import texts
from tunesmith.monitoring.config import DriftConfig
from tunesmith.monitoring.drift import Columns, Outcome, compared, judge


def checked(reference: Columns, window: Columns, **config: float) -> dict[str, Outcome]:
    settings = DriftConfig.model_validate({"permutations": 1000, **config})
    outcomes = compared(reference, window, settings, np.random.default_rng(0))
    judge(outcomes, settings)
    return {one.name: one for one in outcomes}


def columns(num: int, seed: int, shift: float = 0.0) -> Columns:
    rng = np.random.default_rng(seed)
    return Columns(
        {"characters": rng.normal(shift, size=num), "confidence": rng.random(num)},
        {"labels": rng.choice(["a", "b", "c"], num).tolist()},
        {},
        {"embedding": rng.normal(shift, size=(num, 4)).astype(np.float32)},
    )


def test_a_shift_is_seen_and_named() -> None:
    found = checked(columns(400, 1), columns(200, 2, shift=2.0))
    assert {name for name, one in found.items() if one.is_alert} == {"characters", "embedding"}
    assert found["labels"].verdict == "not shown" and found["labels"].p_value is not None


def test_too_few_rows_are_never_no_drift() -> None:
    found = checked(columns(400, 1), columns(49, 2, shift=9.0))
    assert {one.verdict for one in found.values()} == {"not enough"}
    assert found["characters"].why == "not enough: 49 of 50 texts"
    assert not any(one.is_alert for one in found.values())
    assert checked(columns(20, 1), columns(400, 2))["labels"].why == "not enough: 20 of 50 reference rows"


def test_many_rows_do_not_alert_on_nothing_that_matters() -> None:
    rng = np.random.default_rng(3)
    before, now = rng.normal(size=100_000), rng.normal(0.04, size=100_000)
    found = checked(Columns({"characters": before}), Columns({"characters": now}))["characters"]
    assert found.p_value is not None and found.p_value < 1e-6
    assert found.verdict == "too small to matter" and not found.is_alert
    assert checked(Columns({"characters": before}), Columns({"characters": now}), min_effect=0)["characters"].is_alert


def test_equal_seeds_give_equal_checks() -> None:
    one, two = (checked(columns(200, 1), columns(100, 2)) for _ in range(2))
    assert [a.to_facts() for a in one.values()] == [b.to_facts() for b in two.values()]


def test_pictures_are_shares_of_both_sides() -> None:
    found = checked(columns(400, 1), columns(200, 2, shift=2.0))
    for name in ("characters", "labels"):
        picture = found[name].picture
        assert picture is not None
        assert sum(picture["reference"]) == pytest.approx(1, abs=1e-4)
        assert sum(picture["window"]) == pytest.approx(1, abs=1e-4)


def test_unseen_words_of_a_learned_text_are_those_of_no_other() -> None:
    frequency = texts.document_frequency(["a card is lost", "My card", "zzz"])
    assert frequency.rows() == [("a", 1), ("card", 2), ("is", 1), ("lost", 1), ("my", 1), ("zzz", 1)]
    assert texts.unseen_shares(["a card", "foo CARD", ""], frequency, is_learned=False).tolist() == [0, 0.5, 0]
    assert texts.unseen_shares(["a card is lost", "My card"], frequency, is_learned=True).tolist() == [0.75, 0.5]


def test_characters_are_counted_by_class() -> None:
    found = texts.measured(["Ab1 é!", "Where is the new card that I ordered last week?", ""])
    assert found.row(0, named=True) == pytest.approx(
        {
            "characters": 6,
            "uppercase": 1 / 6,
            "digits": 1 / 6,
            "punctuation": 1 / 6,
            "other_letters": 1 / 6,
            "language": "und",
        }
    )
    assert found["language"].to_list() == ["und", "en", "und"]
    assert found.row(2)[:5] == (0, 0, 0, 0, 0)
