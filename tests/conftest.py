"""Fixtures of every suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.postgres import postgres, postgres_session

__all__ = ["postgres", "postgres_session"]  # fixtures that are defined elsewhere

# Tiny models gain nothing from a second thread, and two threads that wait for each other on a busy machine lose a lot.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("real data sets (../shared/data) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of small pre-trained models; tests that need it skip where it is absent."""
    folder = SHARED / "models"
    if not folder.is_dir():
        pytest.skip("small pre-trained models (../shared/models) are not on this machine")
    return folder
