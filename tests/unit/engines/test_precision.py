"""bfloat16 is taken where a model's rows keep their answers, and undone where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import tiny

from tunesmith.core.engine import Request
from tunesmith.engines import precision
from tunesmith.engines.transformers import TransformersEngine

TEXTS = tiny.sentences(80)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("precision")
    context = tiny.FakeContext(place / "model")
    tiny.train(tiny.train_config(epochs=3), {"base": tiny.base(), "splits": tiny.labelled(place / "splits")}, context)
    return context.out / "model"


def answers(engine: TransformersEngine) -> list[tuple[float, ...]]:
    return [one.values for one in sorted(engine.submit(Request("predict", TEXTS)), key=lambda one: one.index)]


def test_it_is_taken_where_the_answers_stay(folder: Path) -> None:
    import torch

    engine = TransformersEngine.open(folder, None)
    before = answers(engine)
    tried = precision.reduce(engine, TEXTS)
    after = answers(engine)
    change = max(
        abs(one - other) for old, new in zip(before, after, strict=True) for one, other in zip(old, new, strict=True)
    )
    assert tried.is_used and tried.num_probes == 80
    assert tried.largest_change == pytest.approx(change) and 0 < change <= precision.TOLERANCE
    assert {one.dtype for one in engine.network.encoder.parameters()} == {torch.bfloat16}
    assert {one.dtype for one in engine.network.head.parameters()} == {torch.float32}


def test_it_is_undone_where_they_do_not_or_where_too_few_were_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TransformersEngine.open(folder, None)
    before = answers(engine)
    assert not precision.reduce(engine, TEXTS[:63]).is_used
    monkeypatch.setattr(precision, "TOLERANCE", 0.0)
    assert not precision.reduce(engine, TEXTS).is_used
    assert answers(engine) == before, "to the bit"
