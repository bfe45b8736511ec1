"""The parts of a report that only some runs have: a section, a template and a row here each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.reporting.sections.augmentation import augmentation_of
from tunesmith.reporting.sections.label_errors import label_errors_of
from tunesmith.reporting.sections.privacy import privacy_of
from tunesmith.reporting.view import RunView

Place = Literal["data", "training", "scores"]


@dataclass(frozen=True)
class Part:
    """One such part: its template sees what ``make`` returned as ``part``."""

    after: Place
    """The section of every report that it follows."""
    template: str
    make: Callable[[RunView], Any]
    """What the template shows, or None where the run has no such part."""


PARTS: tuple[Part, ...] = (
    Part("data", "privacy.html.j2", privacy_of),
    Part("data", "label_errors.html.j2", label_errors_of),
    Part("training", "augmentation.html.j2", augmentation_of),
)
"""In the order shown."""


def shown_parts(view: RunView) -> dict[Place, list[tuple[str, Any]]]:
    """The templates and values of a run's parts, by the section they follow."""
    made = [(part, part.make(view)) for part in PARTS]
    places: tuple[Place, ...] = ("data", "training", "scores")
    return {
        place: [(part.template, value) for part, value in made if part.after == place and value is not None]
        for place in places
    }
