"""The base of every typed configuration: frozen values, unknown keys refused, fields documented where they stand."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen, validated value. The string under a field is its documentation: meaning, unit, range, source."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,  # a step key is a hash of JSON, which has neither
    )

    not_in_key: ClassVar[frozenset[str]] = frozenset()
    """Fields that change memory or speed but no result: a step is known by the others alone."""
