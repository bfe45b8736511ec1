"""An engine that runs a model in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.core.engine import Answer, Capability, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.numerics.batching import microbatches

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.models.encoder import TextNetwork
    from tunesmith.models.manifest import ModelManifest
    from tunesmith.models.tokenizer import Tokenizer

WINDOW_ROWS = 2048
"""Rows tokenised and sorted by length together: bounds memory, and the wait for the first answer."""
BUDGET_TOKENS = 4096
"""Padded tokens in one forward pass; a matter of memory, the same answers up to rounding."""


class TransformersEngine:
    """Answers ``predict`` and ``embed`` requests with a loaded model, short texts together."""

    capabilities: frozenset[Capability] = frozenset({"predict", "embed"})

    def __init__(self, manifest: ModelManifest, network: TextNetwork, tokenizer: Tokenizer) -> None:
        self.manifest, self.network, self.tokenizer = manifest, network, tokenizer
        self.labels = list(manifest.labels)

    @classmethod
    def open(cls, model_path: Path, base_path: Path | None) -> TransformersEngine:
        """The engine for a MODEL folder; ``base_path`` is its BASE folder, needed where only a head was trained."""
        from tunesmith.models.folder import open_model

        return cls(*open_model(model_path, base_path))

    def submit(self, request: Request) -> _Run:
        """The answers, in order of length within windows of 2,048 texts."""
        if request.capability not in self.capabilities:
            raise TunesmithError(
                "this engine cannot do that", seen=request.capability, allowed=", ".join(sorted(self.capabilities))
            )
        return _Run(self, request)

    def close(self) -> None:
        """Drop the weights."""
        del self.network

    def _answer(self, texts: Sequence[str], capability: Capability) -> Iterator[Answer]:
        import torch

        from tunesmith.numerics.padding import pad

        encoded = self.tokenizer.encode(texts)
        lengths = [len(one.ids) for one in encoded]
        for part in microbatches(range(len(texts)), lengths, BUDGET_TOKENS):
            tokens_BT, mask_BT = pad([encoded[place].ids for place in part])
            with torch.inference_mode():
                values_BC = self._values(tokens_BT, mask_BT, capability)
            for at, place in enumerate(part):
                yield Answer(place, tuple(values_BC[at]), lengths[place], encoded[place].num_cut)

    def _values(self, tokens_BT: Tensor, mask_BT: Tensor, capability: Capability) -> list[list[float]]:
        import torch

        if capability == "embed":
            features_BD = self.network.features(tokens_BT, mask_BT)
            return torch.nn.functional.normalize(features_BD, dim=-1).tolist()
        output_BC = self.network(tokens_BT, mask_BT).double()
        if self.manifest.task == "classify":
            output_BC = output_BC.softmax(-1)
        elif self.manifest.target is not None:
            output_BC = output_BC * self.manifest.target.std + self.manifest.target.mean
        return output_BC.tolist()  # type: ignore[no-any-return]


class _Run:
    """The answers to one request, made while they are read."""

    def __init__(self, engine: TransformersEngine, request: Request) -> None:
        self._engine, self._request = engine, request
        self._is_cancelled = False

    def __iter__(self) -> Iterator[Answer]:
        texts = self._request.texts
        for start in range(0, len(texts), WINDOW_ROWS):
            window = texts[start : start + WINDOW_ROWS]
            for answer in self._engine._answer(window, self._request.capability):
                if self._is_cancelled:
                    return
                yield Answer(start + answer.index, answer.values, answer.num_tokens, answer.num_truncated_tokens)

    def cancel(self) -> None:
        """Stop before the next answer."""
        self._is_cancelled = True
