"""Forgetting: passages that are the text, and a rise that is a quotient of sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.data.context import FakeContext
from tests.unit.evaluation.language.fakes import FakeWriter, general

from tunesmith.core.errors import DataError
from tunesmith.evaluation.language.forgetting import GeneralText, forgetting_facts, general_text
from tunesmith.evaluation.language.passages import passages, scored_whole
from tunesmith.metrics.written import row


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab é漢🙂\n", max_size=300), st.integers(4, 40))
def test_passages_are_the_text_in_bounded_parts(text: str, most: int) -> None:
    found = list(passages(text, most))
    assert "".join(found) == text and all(0 < len(one.encode()) <= most for one in found)


def test_passages_end_at_white_space() -> None:
    assert list(passages("one two three four", 9)) == ["one two ", "three ", "four"]


@pytest.mark.parametrize("context", [7, 50, 333, 100_000])
def test_a_text_longer_than_the_context_is_scored_to_its_end(tmp_path: Path, context: int) -> None:
    texts = ["The committee met again. " * 40, "", "é" * 90, "short"]
    writer = FakeWriter(lambda one: "", nats=0.5, context=context)
    found = scored_whole(writer, texts, FakeContext(tmp_path), "reads")
    assert found == [(-size / 2, size / 4, size) for size in (1000, 0, 180, 5)]
    assert all(len(text) <= 1000 for one in writer.requests for text in one.texts)


def test_as_much_is_read_as_asked_for(tmp_path: Path) -> None:
    texts = [f"sentence number {at} of a long text " * 30 for at in range(10)]
    whole = general_text(general(tmp_path / "a", texts).path, 10**9)
    part = general_text(general(tmp_path / "b", texts[::-1]).path, 3000)
    assert whole.num_bytes == whole.of_bytes == part.of_bytes == sum(map(len, texts))
    assert part.num_bytes <= 3000 and part.passages == whole.passages[: len(part.passages)]
    with pytest.raises(DataError, match="no text"):
        general_text(general(tmp_path / "c", ["", "  "]).path, 1000)


def test_the_rise_is_of_pooled_bits_per_byte() -> None:
    before = np.array([row([-nats, 10, 40], None) for nats in (10.0, 20.0, 30.0)])
    after = np.array([row([-nats, 10, 40], None) for nats in (11.0, 22.0, 39.0)])
    text = GeneralText(("a", "b", "c"), 120, 150)
    more = {"source": "general", "confidence": 0.95, "num_samples": 2000, "seed": 0}
    facts = forgetting_facts(text, before, after, **more)  # type: ignore[arg-type]
    assert facts["rise"]["value"] == pytest.approx(72 / 60 - 1)
    # Every resample is a mean of rises of 10 %, 10 % and 30 %, weighted by what they were.
    assert facts["rise"]["low"] == pytest.approx(0.1) and facts["rise"]["high"] == pytest.approx(0.3)
    assert facts["after"]["value"] / facts["before"]["value"] == pytest.approx(1.2)
