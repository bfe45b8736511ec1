"""An engine that runs a model in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
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
    """Answers ``predict``, ``embed`` and ``logits`` requests with a loaded model, short texts together."""

    capabilities: frozenset[Capability] = frozenset({"predict", "embed", "logits"})

    def __init__(self, manifest: ModelManifest, network: TextNetwork, tokenizer: Tokenizer) -> None:
        self.manifest, self.network, self.tokenizer = manifest, network, tokenizer
        self.labels = list(manifest.labels)
        self.budget_tokens = BUDGET_TOKENS

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
        for part in microbatches(range(len(texts)), lengths, self.budget_tokens):
            tokens_BT, mask_BT = pad([encoded[place].ids for place in part])
            with torch.inference_mode():
                values_BC, score_B = self._values(tokens_BT, mask_BT, capability)
            for at, place in enumerate(part):
                score = None if score_B is None else score_B[at]
                yield Answer(place, tuple(values_BC[at]), lengths[place], encoded[place].num_cut, score)

    def _values(
        self, tokens_BT: Tensor, mask_BT: Tensor, capability: Capability
    ) -> tuple[list[list[float]], list[float] | None]:
        """What is answered to each text, and of a model that rejects how surely it knows each."""
        import torch

        from tunesmith.numerics.scope import rejection_score

        if capability == "embed":
            features_BD = self.network.features(tokens_BT, mask_BT)
            return torch.nn.functional.normalize(features_BD, dim=-1).tolist(), None
        output_BC = self.network(tokens_BT, mask_BT).double()
        if capability == "logits":
            return output_BC.tolist(), None
        decision, reject = self.manifest.decision, self.manifest.decision.reject
        score_B = None if reject is None else rejection_score(output_BC, reject.score, decision.temperature).tolist()
        if self.manifest.task == "classify":
            output_BC = (output_BC / decision.temperature).softmax(-1)
        elif self.manifest.task == "tag":
            output_BC = (output_BC / decision.temperature).sigmoid()
        elif scales := self.manifest.scales:
            output_BC = output_BC * torch.tensor([one.std for one in scales], dtype=torch.double)
            output_BC = output_BC + torch.tensor([one.mean for one in scales], dtype=torch.double)
        return output_BC.tolist(), score_B


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
                yield replace(answer, index=start + answer.index)

    def cancel(self) -> None:
        """Stop before the next answer."""
        self._is_cancelled = True
