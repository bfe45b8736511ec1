"""tunesmith: your own data and a pre-trained language model, turned into a model that is better at your task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tunesmith.api import (
        compare,
        demo,
        doctor,
        evaluate,
        export,
        init,
        load,
        models,
        plan,
        predict_file,
        resume,
        run,
        train,
    )

__all__ = [
    "compare",
    "demo",
    "doctor",
    "evaluate",
    "export",
    "init",
    "load",
    "models",
    "plan",
    "predict_file",
    "resume",
    "run",
    "train",
]


def __getattr__(name: str) -> Any:
    """The public verbs, imported when first used, so that ``import tunesmith`` costs nothing."""
    if name in __all__:
        from tunesmith import api

        return getattr(api, name)
    raise AttributeError(f"module `tunesmith` has no attribute `{name}`; it has {', '.join(__all__)}")
