"""What a recipe says about columns computed from others."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, WrapValidator

from tunesmith.core.kinds import gathered


def _readable(source: str) -> str:
    from tunesmith.data.expressions.parse import syntax

    syntax(source)
    return source


Expression = Annotated[str, AfterValidator(_readable), WrapValidator(gathered)]
"""An expression over columns whose form is sound; whether its columns are there is known once rows are read."""
