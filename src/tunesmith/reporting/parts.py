"""The parts of a report that only some runs have: a section, a template and a row here each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.reporting.sections.adaptation import adaptation_of
from tunesmith.reporting.sections.augmentation import augmentation_of
from tunesmith.reporting.sections.calibration import calibration_of
from tunesmith.reporting.sections.conversations import conversations_of
from tunesmith.reporting.sections.cost import cost_of
from tunesmith.reporting.sections.curves import curves_of
from tunesmith.reporting.sections.explanation import explanation_of
from tunesmith.reporting.sections.generations import generations_of
from tunesmith.reporting.sections.groups import groups_of
from tunesmith.reporting.sections.label_errors import label_errors_of
from tunesmith.reporting.sections.language_loss import language_loss_of
from tunesmith.reporting.sections.preparation import preparation_of
from tunesmith.reporting.sections.privacy import privacy_of
from tunesmith.reporting.sections.range_test import range_test_of
from tunesmith.reporting.sections.ranking import ranking_of
from tunesmith.reporting.sections.rejection import rejection_of
from tunesmith.reporting.sections.retained import retained_of
from tunesmith.reporting.sections.robustness import robustness_of
from tunesmith.reporting.sections.targets import targets_of
from tunesmith.reporting.sections.tokens import tokens_of
from tunesmith.reporting.sections.training_samples import training_samples_of
from tunesmith.reporting.sections.tuning import tuning_of
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
    Part("data", "conversations.html.j2", conversations_of),
    Part("data", "preparation.html.j2", preparation_of),
    Part("data", "privacy.html.j2", privacy_of),
    Part("data", "label_errors.html.j2", label_errors_of),
    Part("data", "ranking.html.j2", ranking_of),
    Part("data", "tokens.html.j2", tokens_of),
    Part("training", "adaptation.html.j2", adaptation_of),
    Part("training", "range_test.html.j2", range_test_of),
    Part("training", "tuning.html.j2", tuning_of),
    Part("training", "augmentation.html.j2", augmentation_of),
    Part("training", "training_samples.html.j2", training_samples_of),
    Part("scores", "retained.html.j2", retained_of),
    Part("scores", "language_loss.html.j2", language_loss_of),
    Part("scores", "targets.html.j2", targets_of),
    Part("scores", "rejection.html.j2", rejection_of),
    Part("scores", "calibration.html.j2", calibration_of),
    Part("scores", "curves.html.j2", curves_of),
    Part("scores", "groups.html.j2", groups_of),
    Part("scores", "robustness.html.j2", robustness_of),
    Part("scores", "cost.html.j2", cost_of),
    Part("scores", "explanation.html.j2", explanation_of),
    Part("scores", "generations.html.j2", generations_of),
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
