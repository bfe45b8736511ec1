"""What the stage ``keep`` is told."""

from __future__ import annotations

from tunesmith.core.config import Config
from tunesmith.core.tasks import HeadTask as Task
from tunesmith.evaluation.config import Confidence


class KeepConfig(Config):
    """Which of two models is kept, by the validation rows."""

    task: Task
    """What is predicted."""
    confidence: Confidence = 0.95
    """How sure the gain must be, from 0.5 to below 1. Default: the evaluation's."""
    bootstrap_samples: int = 2000
    """Resamples behind the interval and the p-value. Default: the evaluation's."""
