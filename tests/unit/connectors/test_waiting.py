"""How long a client waits."""

from __future__ import annotations

import random

import pytest

from tunesmith.connectors.waiting import backoff_s, retry_after_s

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
DATE_S = 1_445_412_480.0


@pytest.mark.parametrize(
    ("value", "date", "now_s", "expected"),
    [
        ("120", None, 0.0, 120.0),
        (" 0 ", None, 0.0, 0.0),
        ("-5", None, 0.0, 0.0),
        (DATE, None, DATE_S - 30, 30.0),
        (DATE, None, DATE_S + 30, 0.0),
        (DATE, "Wed, 21 Oct 2015 07:27:15 GMT", 0.0, 45.0),
        (DATE, "nonsense", DATE_S - 1, 1.0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", None, DATE_S - 7, 7.0),
        ("soon", None, 0.0, None),
        ("", None, 0.0, None),
        ("1.5", None, 0.0, None),
    ],
)
def test_both_forms_of_retry_after(value: str, date: str | None, now_s: float, expected: float | None) -> None:
    assert retry_after_s(value, date, now_s) == expected


def test_waits_grow_to_a_bound_and_differ() -> None:
    waits = [backoff_s(attempt, random.Random(attempt)) for attempt in range(40)]
    assert all(0.25 * 2**number <= wait <= 0.5 * 2**number for number, wait in enumerate(waits[:6]))
    assert all(15.0 <= wait <= 30.0 for wait in waits[7:]) and len(set(waits)) == len(waits)
