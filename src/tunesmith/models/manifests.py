"""The manifest of any model, read by its task. Loads no torch."""

from __future__ import annotations

import json
from pathlib import Path

from tunesmith.core.tasks import LANGUAGE_TASKS
from tunesmith.models.language_manifest import LanguageManifest
from tunesmith.models.manifest import MANIFEST, ModelManifest


def read_manifest(folder: Path) -> ModelManifest | LanguageManifest:
    """The manifest of a model's folder: of a head, or of a language model.

    Raises: ModelError where it is missing, damaged or of another format.
    """
    return LanguageManifest.read(folder) if _task(folder) in LANGUAGE_TASKS else ModelManifest.read(folder)


def _task(folder: Path) -> object:
    try:
        value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # the reader of heads says what is wrong
    return value.get("task") if isinstance(value, dict) else None
