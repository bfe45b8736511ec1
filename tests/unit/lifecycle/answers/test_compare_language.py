"""Two language models on the prompts they share, through a real ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tunesmith.core.artifact import MadeBy
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.lifecycle.compare import compare
from tunesmith.lifecycle.session import Session
from tunesmith.store.artifacts import ArtifactStore


def _row(at: int, generated: str | None, nats: float | None, reference: str | None = None) -> dict[str, Any]:
    reference = reference or f"the answer is {at}"
    size = None if nats is None else float(len(reference))
    return {
        "row_id": f"row {at}",
        "prompt_id": f"prompt {at // 2}",
        "reference": reference,
        "generated": generated,
        "log_probability": None if nats is None or size is None else -nats * size,
        "weight": None if size is None else size / 4,
        "bytes": size,
    }


def _evaluated(session: Session, run_id: str, rows: Sequence[dict[str, Any]], task: str = "generate") -> str:
    """A run whose report holds these rows."""
    session.ledger.start_run(run_id, "meals", task, "0" * 64)
    facts = {"task": task, "primary": "chrf", "metrics": {"test": {}}}
    made_by = MadeBy(f"{run_id}-evaluate", "evaluate", 0)
    out: Path = session.workspace.step_folder(f"{run_id}-evaluate") / "out"
    (out / "report").mkdir()
    schema = {"log_probability": pl.Float64, "weight": pl.Float64, "bytes": pl.Float64, "generated": pl.String}
    pl.DataFrame(rows, schema_overrides=schema).write_parquet(out / "report" / "predictions.parquet")
    outputs: Any = {"report": ("report", facts)}
    ArtifactStore(session.workspace, session.ledger).save_step(
        made_by.step_key, f"content-{run_id}", "evaluate", out, outputs, made_by, ()
    )
    session.ledger.set_run_step(run_id, 0, "evaluate", made_by.step_key, "done")
    return f"run:{run_id}"


def test_a_model_that_writes_the_reference_is_better(session: Session) -> None:
    # Two rows a prompt: the first row's reference is what the better model writes for both.
    good = [_row(at, f"the answer is {at // 2 * 2}", 0.5) for at in range(60)]
    bad = [_row(at, "who knows", 1.0) for at in range(60)]
    told = compare(session, _evaluated(session, "good", good), _evaluated(session, "bad", bad), num_samples=300)
    assert told.rows == {"a": 60, "b": 60, "shared": 60} and told.verdict == "better" and told.primary == "chrf"
    assert told.metrics["exact_match"]["a"]["value"] == 1.0 and told.metrics["exact_match"]["b"]["value"] == 0.0
    assert told.metrics["exact_match"]["num_rows"] == 30
    bits = told.metrics["bits_per_byte"]
    assert bits["a"]["value"] * 2 == pytest.approx(bits["b"]["value"]) and bits["verdict"] == "better"
    back = compare(session, "run:bad", "run:good", num_samples=300)
    assert back.verdict == "worse" and back.metrics["chrf"]["difference"] == -told.metrics["chrf"]["difference"]


def test_answers_count_where_both_wrote_one_and_scores_where_both_scored(session: Session) -> None:
    one = [_row(at, "x" if at < 20 else None, 1.0 if at < 40 else None) for at in range(60)]
    other = [_row(at, "the answer" if at >= 10 else None, 1.0) for at in range(60)]
    told = compare(session, _evaluated(session, "one", one), _evaluated(session, "other", other), num_samples=300)
    assert told.rows == {"a": 40, "b": 60, "shared": 40}
    assert told.metrics["chrf"]["num_rows"] == 5 and told.metrics["bits_per_byte"]["num_rows"] == 20


def test_other_tokens_are_not_compared_by_the_token(session: Session) -> None:
    rows = [_row(at, "x", 1.0) for at in range(10)]
    others = [{**row, "weight": row["weight"] * 2} for row in rows]
    told = compare(session, _evaluated(session, "one", rows), _evaluated(session, "other", others), num_samples=300)
    assert "perplexity" not in told.metrics and "bits per byte" in told.not_measured["perplexity"]
    assert told.metrics["bits_per_byte"]["difference"] == 0


def test_rows_that_are_not_the_same_are_refused(session: Session) -> None:
    rows = [_row(at, "x", 1.0) for at in range(10)]
    first = _evaluated(session, "first", rows)
    moved = [{**row, "row_id": row["row_id"] + "b"} for row in rows]
    with pytest.raises(DataError, match="not measured on the same test rows"):
        compare(session, first, _evaluated(session, "moved", moved))
    changed = [_row(at, "x", 1.0, "something else" if at < 3 else None) for at in range(10)]
    with pytest.raises(DataError, match="3 of 10 rows have another answer"):
        compare(session, first, _evaluated(session, "changed", changed))
    with pytest.raises(RecipeError, match="different questions"):
        compare(session, first, _evaluated(session, "chat", rows, task="chat"))
