"""What a recipe may say about which weights learn."""

from __future__ import annotations

from typing import Literal

from tunesmith.core.config import Config


class FullConfig(Config):
    """Every weight learns: best quality, the whole network is run forward and backward in every step."""

    kind: Literal["full"] = "full"
    """Every weight learns."""


class HeadConfig(Config):
    """Only a new head learns: the frozen base runs once over every row, epochs after the first cost next to nothing."""

    kind: Literal["head"] = "head"
    """Only a new head learns."""
