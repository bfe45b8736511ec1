"""Typed unions from the wiring table: ``kind`` picks the config class, a bare string is its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Union

from pydantic import Field, SerializeAsAny, WrapValidator
from pydantic_core import PydanticCustomError

from tunesmith.core import wiring
from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError


def gathered(value: Any, handler: Callable[[Any], Any]) -> Any:
    """The validated value; a ``RecipeError`` on the way becomes a validation error, so that pydantic goes on and all
    that is wrong with a recipe is shown at once. For ``WrapValidator``."""
    try:
        return handler(value)
    except RecipeError as error:
        raise PydanticCustomError("tunesmith", "{what}", error.to_dict()) from None


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
            return gathered(
                value, lambda given: wiring.load(wiring.wire(table, kind).config or "").model_validate(given)
            )
        return gathered(value, handler)

    classes: Any = tuple(configs.values())
    if len(classes) == 1:
        return SerializeAsAny[Annotated[classes[0], WrapValidator(pick)]]  # type: ignore[misc]
    choice: Any = Union[classes]  # noqa: UP007
    return SerializeAsAny[Annotated[choice, Field(discriminator="kind"), WrapValidator(pick)]]  # type: ignore[misc]


def _added(table: wiring.Table, kind: str) -> type[Config]:
    config: type[Config] = wiring.load(wiring.wire(table, kind).config or "")
    return config
