"""Figures as people read them."""

from __future__ import annotations

import pytest

from tunesmith.cli import figures


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0 %"),
        (6.4e-8, "< 0.1 %"),
        (0.00266, "0.27 %"),
        (0.05, "5 %"),
        (0.123, "12 %"),
        (1.0, "100 %"),
        (41.5, "4,150 %"),
    ],
)
def test_shares(value: float, words: str) -> None:
    assert figures.share(value) == words
