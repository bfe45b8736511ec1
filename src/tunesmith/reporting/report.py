"""The run's report as one HTML file that needs nothing else: no network, no script, no font."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tunesmith.core.tasks import is_language
from tunesmith.reporting.page import environment
from tunesmith.reporting.parts import shown_parts
from tunesmith.reporting.sections.advice import advice_of
from tunesmith.reporting.sections.classes import classes_of
from tunesmith.reporting.sections.data import data_of
from tunesmith.reporting.sections.examples import Cases
from tunesmith.reporting.sections.lineage import lineage_of
from tunesmith.reporting.sections.scores import scores_of
from tunesmith.reporting.sections.training import training_of
from tunesmith.reporting.sections.verdict import verdict_of
from tunesmith.reporting.view import RunView
from tunesmith.store.files import write_bytes


def write_report(view: RunView, path: Path) -> None:
    """Write the report of a finished run; equal views give equal bytes."""
    write_bytes(path, render(view).encode("utf-8", "replace"))


def render(view: RunView) -> str:
    """The report as HTML."""
    from markupsafe import Markup

    style = (resources.files("tunesmith.reporting") / "templates" / "style.css").read_text("utf-8")
    # What is written has no label that is right or wrong: its examples are a part of their own.
    cases = None if is_language(view.task) else Cases(view)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            style=Markup(style),
            verdict=verdict_of(view),
            advice=advice_of(view, cases),
            data=data_of(view),
            training=training_of(view),
            scores=scores_of(view, cases),
            classes=classes_of(view),
            cases=cases,
            lineage=lineage_of(view),
            parts=shown_parts(view),
        )
    )
