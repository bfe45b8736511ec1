"""What the base stage is told."""

from __future__ import annotations

from tunesmith.core.config import Config


class BaseConfig(Config):
    """Which pre-trained model to pin."""

    model: str = "embedded"
    """``embedded`` (all-MiniLM-L6-v2, shipped as a Python package), a folder, or a Hub id ``owner/name``."""
