"""What a recipe may say about which weights learn."""

from __future__ import annotations

from typing import ClassVar, Literal

from tunesmith.core.config import Config


class FullConfig(Config):
    """Every weight learns: best quality, the whole network is run forward and backward in every step."""

    needs_features: ClassVar[bool] = False
    kind: Literal["full"] = "full"
    """Every weight learns."""


class HeadConfig(Config):
    """Only a new head learns: the frozen base runs once over every row, epochs after the first cost next to nothing."""

    needs_features: ClassVar[bool] = True
    kind: Literal["head"] = "head"
    """Only a new head learns."""
