"""Typed unions from the wiring table: ``kind`` picks the config class, a bare string is its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Union

from pydantic import Field, SerializeAsAny, WrapValidator

from tunesmith.core import wiring
from tunesmith.core.config import Config


def one_of(table: wiring.Table) -> Any:
    """The annotated type "the config of one of a table's kinds", for a field of a config class.

    Kinds added to the wiring later (plug-ins, fakes in tests) are accepted as well.
    """
    configs = {kind: wiring.load(wire.config) for kind, wire in wiring.rows(table).items() if wire.config}

    def pick(value: Any, handler: Callable[[Any], Any]) -> Any:
        if isinstance(value, Config):
            return value
        if isinstance(value, str):
            value = {"kind": value}
        kind = value.get("kind") if isinstance(value, dict) else None
        if isinstance(kind, str) and kind not in configs:
            wire = wiring.wire(table, kind)
            return wiring.load(wire.config or "").model_validate(value)
        return handler(value)

    classes = tuple(configs.values())
    if len(classes) == 1:
        return SerializeAsAny[Annotated[classes[0], WrapValidator(pick)]]
    return SerializeAsAny[Annotated[Union[classes], Field(discriminator="kind"), WrapValidator(pick)]]  # noqa: UP007
