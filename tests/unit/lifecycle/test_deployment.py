"""A deployment follows its alias: the new version answers, the old one finishes, a damaged one changes nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.serving import FakeModel, FakeObserver, deployment, version_of

from tunesmith.core.errors import ModelError, RecipeError, StoreError
from tunesmith.engines.batching import Closed
from tunesmith.lifecycle.deploy import resolve_reference
from tunesmith.lifecycle.deployment import Deployment, Deployments
from tunesmith.lifecycle.session import open_session


def label(one: Deployment, text: str) -> str | None:
    served, promise = one.submit([text])
    [answer] = promise.result(10)
    assert (answer.prediction.label or "").startswith(f"one@{served.version.version}|"), (
        "named as the one that answered"
    )
    return answer.prediction.label


def test_a_moved_alias_is_answered_by_the_new_version_and_the_old_one_finishes_first() -> None:
    now, models = {"now": 1}, {}
    one = deployment("one", models, version=now, delay_s=0.05)
    assert not one.refresh()
    waiting = [one.submit([f"t{at}"]) for at in range(5)]
    now["now"] = 2
    assert one.refresh() and one.num_swaps == 1
    assert label(one, "x") == "one@2|x"
    for at, (served, promise) in enumerate(waiting):
        assert served.reference == "desk@1"
        assert promise.result(10)[0].prediction.label == f"one@1|t{at}"
    for thread in threading.enumerate():
        if thread.name == "drain":
            thread.join(10)
    assert (models[1].is_closed, models[2].is_closed) == (True, False)
    assert one.close() and models[2].is_closed
    with pytest.raises(Closed):
        one.submit(["late"])


def test_a_version_that_cannot_be_opened_leaves_the_old_one_answering_and_is_not_tried_for_ever() -> None:
    now, tried = {"now": 1}, []

    def open(version: object) -> tuple[FakeModel, FakeObserver]:
        tried.append(version)
        if now["now"] == 2:
            raise ModelError("its files are damaged")
        return FakeModel(f"one@{now['now']}"), FakeObserver("one")

    one = Deployment("one", "desk@production", resolve=lambda: version_of(now["now"]), open=open)
    now["now"] = 2
    for _ in range(3):
        assert not one.refresh()
    assert len(tried) == 2 and one.problem is not None and "damaged" in one.problem.what
    assert label(one, "x") == "one@1|x"
    now["now"] = 3
    assert one.refresh() and one.problem is None
    assert label(one, "x") == "one@3|x"
    now["now"] = 2
    one.refresh()
    now["now"] = 3
    assert not one.refresh() and one.problem is None, "moved back: nothing is behind any more"


def test_what_was_observed_is_written_at_the_end_even_where_that_fails() -> None:
    class Down(FakeObserver):
        def flush(self, timeout_s: float = 30.0) -> None:
            raise StoreError("the ledger is down")

    model = FakeModel("one@1")
    one = Deployment("one", "desk", resolve=lambda: version_of(1), open=lambda version: (model, Down("one")))
    assert one.close() and model.is_closed


def test_a_silent_ledger_counts_as_out_of_reach_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    now, may_answer, is_down = [0.0], threading.Event(), [False]
    asked = threading.Semaphore(0)

    def check() -> None:
        asked.release()
        assert may_answer.wait(10)
        if is_down[0]:
            raise StoreError("no route")

    made = Deployments([deployment("one")], poll_s=0.01, clock=lambda: now[0])
    assert made.problem is None
    made.watch(check)
    assert asked.acquire(timeout=10)
    now[0] = 0.5
    assert "no answer" in str(made.problem), "it hangs: nothing has failed, and nothing has answered"
    may_answer.set()
    for _ in range(3):
        assert asked.acquire(timeout=10)
    assert made.problem is None
    is_down[0] = True
    for _ in range(3):
        assert asked.acquire(timeout=10)
    assert made.problem == "the ledger is out of reach"
    is_down[0] = False
    for _ in range(3):
        assert asked.acquire(timeout=10)
    assert made.problem is None
    said = [one.getMessage() for one in caplog.records if "ledger" in one.getMessage()]
    assert said == ["the ledger is out of reach: no route", "the ledger is back"]
    assert made.close(10)


def test_only_released_versions_are_served(tmp_path: object) -> None:
    with open_session(str(tmp_path)) as session:
        with pytest.raises(RecipeError, match="released"):
            resolve_reference(session, "run:r1")
        with pytest.raises(StoreError, match="desk"):
            resolve_reference(session, "desk@production")


def test_a_model_answers_batches_of_every_size_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.lifecycle import deploy as module
    from tunesmith.lifecycle.deploy import WARM_ROWS, warm

    model = FakeModel("desk")
    warm(model, ["one", "two", "three"])
    assert model.batches == list(WARM_ROWS) and {1, 64} <= set(WARM_ROWS)
    warm(model, [])  # a model whose rows are gone is warmed all the same
    assert len(model.batches) == 2 * len(WARM_ROWS)
    monkeypatch.setattr(module, "WARM_S", 0.0)
    slow = FakeModel("desk", delay_s=0.01)
    warm(slow, ["one"])
    assert slow.batches == [1], "a model that takes long is not kept from answering"


def test_rows_that_cannot_be_read_stop_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import polars as pl

    from tunesmith.lifecycle import reports
    from tunesmith.lifecycle.deploy import NUM_PROBES, _probes

    caplog.set_level("INFO")
    monkeypatch.setattr(reports, "splits_of", lambda session, reference: SimpleNamespace(path=tmp_path))
    with open_session(tmp_path / "home") as session:
        assert _probes(session, "desk@1") == [] and "cannot be read" in caplog.text
        (tmp_path / "validation.parquet").write_bytes(b"no parquet")
        assert _probes(session, "desk@1") == []
        for name, texts in (("validation", ["a", "b"]), ("test", ["c"] * NUM_PROBES)):
            pl.DataFrame({"text": texts, "label": texts}).write_parquet(tmp_path / f"{name}.parquet")
        assert _probes(session, "desk@1") == ["a", "b", *["c"] * (NUM_PROBES - 2)]
