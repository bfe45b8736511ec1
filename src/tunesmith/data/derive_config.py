"""What a recipe says about columns computed from others."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from tunesmith.core.errors import RecipeError


def _readable(source: str) -> str:
    from tunesmith.data.expressions.parse import syntax

    try:
        syntax(source)
    except RecipeError as error:
        raise ValueError(error.render()) from None
    return source


Expression = Annotated[str, AfterValidator(_readable)]
"""An expression over columns whose form is sound; whether its columns are there is known once rows are read."""
