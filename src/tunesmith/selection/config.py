"""What the stages of selection are told."""

from __future__ import annotations

from typing import ClassVar, Literal

from tunesmith.core.config import Config
from tunesmith.core.tasks import Task

AUTO = "auto"
RANKED_TASKS = ("classify", "regress")


class BaseConfig(Config):
    """Which pre-trained model to pin."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"commit"})
    model: str = "embedded"
    """``embedded`` (all-MiniLM-L6-v2, shipped as a Python package), a folder, or a Hub id ``owner/name``."""
    task: Task = "classify"
    """What it will be used for: tasks whose answers are text need a language model, a head stands on an encoder or on
    a decoder's last token."""
    commit: str | None = None
    """Of a model of the Hub: the commit that was found when the step was planned, so that its files are those that the
    step's key was made of."""


class RegisteredConfig(Config):
    """Which model of this workspace is the base of the next one; it is given as ``parent``, its base as ``base``."""

    model: str
    """``name@version``, or ``run:ID`` where it was not released: never an alias, which may move."""
    task: Task = "classify"
    """What the base will be used for."""


class SelectConfig(Config):
    """Which pinned models are ranked on the training rows."""

    task: Literal["classify", "regress"]
    """What is predicted: a label or a number."""
    models: tuple[str, ...]
    """The candidates as the recipe named them; candidate n is given as ``base:n`` and ``activations:n``."""
    absent: tuple[dict[str, str], ...] = ()
    """Encoders of the catalogue that `auto` left out: `name`, `why`, and the command that would `fetch` it."""
