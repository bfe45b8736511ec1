"""What the stages of selection are told."""

from __future__ import annotations

from typing import Literal

from tunesmith.core.config import Config
from tunesmith.core.tasks import Task

AUTO = "auto"
RANKED_TASKS = ("classify", "regress")


class BaseConfig(Config):
    """Which pre-trained model to pin."""

    model: str = "embedded"
    """``embedded`` (all-MiniLM-L6-v2, shipped as a Python package), a folder, or a Hub id ``owner/name``."""
    task: Task = "classify"
    """What it will be used for: tasks whose answers are text need a language model, a head stands on an encoder or on
    a decoder's last token."""


class SelectConfig(Config):
    """Which pinned models are ranked on the training rows."""

    task: Literal["classify", "regress"]
    """What is predicted: a label or a number."""
    models: tuple[str, ...]
    """The candidates as the recipe named them; candidate n is given as ``base:n`` and ``activations:n``."""
    absent: tuple[dict[str, str], ...] = ()
    """Encoders of the catalogue that `auto` left out: `name`, `why`, and the command that would `fetch` it."""
