"""The run's report as one HTML file."""

from __future__ import annotations

from pathlib import Path

from tunesmith.reporting.view import RunView
from tunesmith.store.files import write_bytes


def write_report(view: RunView, path: Path) -> None:
    """Write the report of a finished run."""
    write_bytes(path, b"<!doctype html><title>placeholder while the page is being built</title>")
