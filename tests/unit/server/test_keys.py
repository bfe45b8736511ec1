"""The first key of a project is made for a server that answers, and for no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.errors import RecipeError, StoreError
from tunesmith.lifecycle.session import open_session
from tunesmith.server.run import ServeOptions, serve
from tunesmith.store import access


def test_a_server_that_cannot_begin_makes_no_key(tmp_path: Path) -> None:
    with open_session(tmp_path / "home") as session:
        with pytest.raises(StoreError, match="no model `nosuch`"):
            serve(["nosuch@production"], ServeOptions(port=0), home=tmp_path / "home")
        with pytest.raises(RecipeError, match="needs keys"):
            serve(["nosuch@production"], ServeOptions(host="0.0.0.0", port=0), home=tmp_path / "home")
        assert access.users(session.ledger.engine, "default") == []
        assert not (session.workspace.folder / "owner.key").exists()
