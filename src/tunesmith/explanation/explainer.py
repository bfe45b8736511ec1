"""A loaded model that explains its answers, by either method."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tunesmith.explanation.attribution import Attribution, Unit, names_of, predictor, target_places
from tunesmith.explanation.config import ExplainConfig, Method
from tunesmith.explanation.occlusion import Read, occluded
from tunesmith.explanation.unknown import with_unknown
from tunesmith.explanation.words import read_part

if TYPE_CHECKING:
    from tunesmith.engines.transformers import TransformersEngine
    from tunesmith.explanation.gradients import Gradients
    from tunesmith.models.tokenizer import Pieces


class Explainer:
    """Explains the answers of an engine, which may answer others meanwhile."""

    def __init__(self, engine: TransformersEngine, config: ExplainConfig | None = None) -> None:
        self.config, self._engine = config or ExplainConfig(), engine
        self.manifest = engine.manifest
        self.predict = predictor(engine)
        self._gradients: Gradients | None = None
        self._lock = threading.Lock()

    def attribute(
        self, texts: Sequence[str], method: Method, targets: Sequence[int] | None = None, label: str | None = None
    ) -> list[Attribution]:
        """The words of each text, which is one as the model reads it, and what they add to its answer.

        Of a text of megabytes only the part around what is read is worked on, and told; the rest is counted.
        ``label`` names the label or target that is explained; without it, and without ``targets``, it is the likeliest
        label or the first target. Raises: RecipeError for a label the model does not have, or where Captum is missing.
        """
        if not texts:
            return []
        parts = self._engine.tokenizer.parts(texts)
        texts = [part.text for part in parts]
        pieces = self._engine.tokenizer.pieces(texts)
        if targets is None:
            targets = target_places(self.manifest, self.predict(texts), label)
        if method == "ig":
            found = self.gradients.attribute(texts, targets)
        else:
            unit: Unit = "value" if self.manifest.task == "regress" else "probability"
            names, most = names_of(self.manifest), self.config.most_words
            found = occluded(self.predict, texts, targets, names, unit, most, _read(texts, pieces))
        return [
            replace(
                one,
                words=with_unknown(part.text, one.words, read),
                num_truncated_tokens=one.num_truncated_tokens + part.num_left_out,
            )
            for part, read, one in zip(parts, pieces, found, strict=True)
        ]

    @property
    def gradients(self) -> Gradients:
        """The network's gradients, made ready once."""
        from tunesmith.explanation.gradients import Gradients

        with self._lock:
            if self._gradients is None:
                engine = self._engine
                self._gradients = Gradients(engine.manifest, engine.network, engine.tokenizer, self.config)
            return self._gradients

    @property
    def baseline_name(self) -> str:
        """The token that stands for no word."""
        return self.gradients.baseline_name


def _read(texts: Sequence[str], pieces: Sequence[Pieces]) -> list[Read]:
    """What the model reads of each text."""
    found = []
    for text, one in zip(texts, pieces, strict=True):
        start, end = read_part(text, one.spans) if one.num_cut else (0, len(text))
        found.append(Read(start, end, one.num_cut))
    return found
