"""How the cells of a source are read, the same for every row of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunesmith.core.conversation import Role
from tunesmith.data.formats.said import KEYS, Keys


@dataclass(frozen=True)
class Reading:
    """What a format needs to know besides a row's cells."""

    keys: Keys = KEYS
    roles: Mapping[str, Role] = field(default_factory=dict)
    is_conversational: bool = False
    """Prompt and completion are lists of messages."""
