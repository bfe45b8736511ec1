"""Typed unions from the wiring table: ``kind`` picks the config class, a bare string is its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Union

from pydantic import Field, SerializeAsAny, WrapValidator
from pydantic_core import PydanticCustomError

from tunesmith.core import wiring
from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError


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
            try:
                wire = wiring.wire(table, kind)
            except RecipeError as error:
                # A validation error lets pydantic go on, so that all that is wrong with a recipe is shown at once.
                raise PydanticCustomError("tunesmith", "{what}", error.to_dict()) from None
            return wiring.load(wire.config or "").model_validate(value)
        return handler(value)

    classes: Any = tuple(configs.values())
    if len(classes) == 1:
        return SerializeAsAny[Annotated[classes[0], WrapValidator(pick)]]  # type: ignore[misc]
    choice: Any = Union[classes]  # noqa: UP007
    return SerializeAsAny[Annotated[choice, Field(discriminator="kind"), WrapValidator(pick)]]  # type: ignore[misc]
