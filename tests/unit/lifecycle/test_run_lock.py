"""A run under way is left alone by a second resume."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.errors import StoreError
from tunesmith.lifecycle.recorded import RECIPE
from tunesmith.lifecycle.run import resume_run
from tunesmith.lifecycle.session import open_session


def test_a_second_resume_is_refused_and_the_run_stays_running(tmp_path: Path) -> None:
    with open_session(tmp_path) as session:
        session.ledger.start_run("live", "live", "classify", "0" * 64)
        folder = session.workspace.run_folder("live")
        (folder / RECIPE).write_text("task: classify\ndata: {sources: [{kind: csv, path: rows.csv}]}\n")
        with session.workspace.lock(folder / "lock"), pytest.raises(StoreError, match="locked"):
            resume_run(session, "live")
        assert session.ledger.run("live").status == "running"
