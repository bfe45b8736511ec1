"""The page's templates: escaped by default, with no way for a text to act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.reporting import wording

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> Environment:
    """The templates, with every text made visible and escaped on its way into the page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("tunesmith.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        num=wording.number,
        count=wording.count,
        share=wording.share,
        baseline=wording.baseline,
        metric=wording.metric,
        moment=wording.moment,
        code=_code,
        counted=wording.counted,
    )
    return made


def _shown(value: Any) -> Any:
    """What is written for a value: a text without characters that act; markup made by us stays as it is."""
    if value is None:
        return ""
    return wording.visible(value) if type(value) is str else value


def _code(text: str) -> Any:
    """A sentence of ours in which `this` is set as code."""
    from markupsafe import Markup, escape

    parts = wording.visible(text).split("`")
    if len(parts) % 2 == 0:
        return escape(wording.visible(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )
