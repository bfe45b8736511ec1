"""Integrated gradients of words, by Captum, over the embeddings of a network.

Source: Sundararajan et al. 2017. The way from a baseline, in which every token of the text is a padding token, to the
text is walked in the space of token embeddings; special tokens stay as they are, so they get nothing.

Shapes: B texts, T tokens, C outputs, D hidden.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from tunesmith.core.errors import ModelError, RecipeError
from tunesmith.explanation.attribution import Attribution, Unit, names_of
from tunesmith.explanation.config import INSTALL, ExplainConfig
from tunesmith.explanation.words import gathered
from tunesmith.models.manifest import ModelManifest
from tunesmith.models.tokenizer import Pieces, Tokenizer
from tunesmith.numerics.batching import microbatches

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tunesmith.models.encoder import TextNetwork

BUDGET_TOKENS = 4096
"""Padded tokens in one forward and backward pass; memory only."""
BATCH_TOKENS = 512
"""Padded tokens of the texts that are worked on together: each is there once for every point."""
SMALLEST = 1e-6
"""A difference below this counts as this: a share of nothing says nothing."""


class Gradients:
    """Explains the answers of a network by its gradients; leaves the network as it is, whoever uses it meanwhile."""

    def __init__(
        self, manifest: ModelManifest, network: TextNetwork, tokenizer: Tokenizer, config: ExplainConfig | None = None
    ) -> None:
        """Raises: RecipeError where Captum is not installed."""
        _check_captum()
        self.manifest, self.tokenizer = manifest, tokenizer
        self.config = config or ExplainConfig()
        self.network = sharing_weights(network)
        self.embeddings = _embeddings(self.network)
        self.baseline_id, self.baseline_name = _baseline(self.network, tokenizer, self.config.baseline)
        self.unit: Unit = "value" if manifest.task == "regress" else "logit"
        self._lock = threading.Lock()  # Captum hangs hooks on the network while it works

    def attribute(self, texts: Sequence[str], targets: Sequence[int]) -> list[Attribution]:
        """The words of each text and what they add to the output at its target."""
        pieces = self.tokenizer.pieces(texts)
        lengths = [len(one.ids) for one in pieces]
        found: dict[int, Attribution] = {}
        with self._lock:
            for part in microbatches(range(len(texts)), lengths, BATCH_TOKENS):
                found |= self._batch(part, texts, pieces, targets)
        return [found[place] for place in range(len(texts))]

    def _batch(
        self, part: Sequence[int], texts: Sequence[str], pieces: Sequence[Pieces], targets: Sequence[int]
    ) -> dict[int, Attribution]:
        """The attributions of some texts; those whose words do not add up are done again with more points."""
        found: dict[int, Attribution] = {}
        steps, left = self.config.steps, list(part)
        most = max(steps, self.config.most_steps)
        while left:
            made = self._walk([pieces[one] for one in left], [targets[one] for one in left], steps)
            is_last = steps >= most
            again = []
            for place, (values, full, baseline, error) in zip(left, made, strict=True):
                if error > self.config.most_error and not is_last:
                    again.append(place)
                    continue
                words, _ = gathered(texts[place], pieces[place].spans, values)
                found[place] = Attribution(
                    "ig",
                    names_of(self.manifest)[targets[place]],
                    texts[place],
                    tuple(words),
                    self.unit,
                    full,
                    baseline,
                    error,
                    steps,
                    pieces[place].num_cut,
                )
            steps, left = min(2 * steps, most), again
        return found

    def _walk(
        self, pieces: Sequence[Pieces], targets: Sequence[int], steps: int
    ) -> list[tuple[list[float], float, float, float]]:
        """For each text the values of its pieces, the output, the baseline's, and the error of completeness."""
        import torch
        from captum.attr import LayerIntegratedGradients

        from tunesmith.numerics.padding import pad

        tokens_BT, mask_BT = pad([one.ids for one in pieces])
        special_BT, _ = pad([[int(flag) for flag in one.is_special] for one in pieces])
        is_text_BT = (mask_BT == 1) & (special_BT == 0)
        baseline_BT = torch.where(is_text_BT, self.baseline_id, tokens_BT)
        walk = LayerIntegratedGradients(self.output, self.embeddings)
        chosen_B = torch.tensor(list(targets))
        values_BTD = walk.attribute(
            tokens_BT,
            baselines=baseline_BT,
            target=chosen_B,
            additional_forward_args=(mask_BT,),
            n_steps=steps,
            method="gausslegendre",
            internal_batch_size=max(len(pieces), BUDGET_TOKENS // tokens_BT.shape[1]),
        )
        values_BT = cast("Tensor", values_BTD).detach().double().sum(-1)
        with torch.no_grad():
            full_B = self.output(tokens_BT, mask_BT).gather(1, chosen_B[:, None])[:, 0]
            # Not of the baseline's ids: where positions are told by the tokens, padding would be a shorter text.
            with self._embedded(self.embeddings(baseline_BT)):
                empty_B = self.output(tokens_BT, mask_BT).gather(1, chosen_B[:, None])[:, 0]
        made = []
        for row, one in enumerate(pieces):
            values = values_BT[row, : len(one.ids)].tolist()
            full, empty = float(full_B[row]), float(empty_B[row])
            error = abs(sum(values) - (full - empty)) / max(abs(full - empty), SMALLEST)
            made.append((values, full, empty, error))
        return made

    def output(self, tokens_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """What is explained (B, C): logits, centred where labels exclude each other, or values in the target's unit."""
        import torch

        output_BC: Tensor = self.network(tokens_BT, mask_BT).double()
        if self.manifest.task == "classify":
            # The mean changes no probability: what lifts every label alike speaks for none.
            return output_BC - output_BC.mean(-1, keepdim=True)
        if scales := self.manifest.scales:
            output_BC = output_BC * torch.tensor([one.std for one in scales], dtype=torch.double)
            output_BC = output_BC + torch.tensor([one.mean for one in scales], dtype=torch.double)
        return output_BC

    @contextmanager
    def _embedded(self, vectors_BTD: Tensor) -> Iterator[None]:
        """The embeddings give these vectors, whatever the tokens."""
        handle = self.embeddings.register_forward_hook(lambda *_: vectors_BTD)
        try:
            yield
        finally:
            handle.remove()


def sharing_weights(network: TextNetwork) -> TextNetwork:
    """A network of its own with the same weights in memory: its hooks and gradients are nobody else's."""
    from torch import nn

    shared: dict[int, Any] = {id(one): nn.Parameter(one.detach(), requires_grad=False) for one in network.parameters()}
    shared |= {id(one): one for one in network.buffers()}
    return copy.deepcopy(network, shared).eval()


def _embeddings(network: TextNetwork) -> nn.Module:
    encoder: Any = network.encoder
    found = encoder.get_input_embeddings() if hasattr(encoder, "get_input_embeddings") else None
    if found is None:
        raise ModelError(
            "this network has no embeddings of tokens", seen=type(encoder).__name__, next="explain it by `occlusion`"
        )
    embeddings: nn.Module = found
    return embeddings


def _baseline(network: TextNetwork, tokenizer: Tokenizer, wanted: str) -> tuple[int, str]:
    """The token that stands for no word, and its name; of those that the model has, the nearest to what is wanted."""
    config: Any = getattr(network.encoder, "config", None)
    known = {"pad": tokenizer.id_of(("[PAD]", "<pad>", "<|pad|>"))}
    known["mask"] = tokenizer.id_of(("[MASK]", "<mask>"))
    for name, key in (("pad", "pad_token_id"), ("eos", "eos_token_id")):
        told = getattr(config, key, None)
        if isinstance(told, int) and 0 <= told < tokenizer.vocabulary and known.get(name) is None:
            known[name] = told
    known["unknown"] = tokenizer.id_of(("[UNK]", "<unk>"))
    for name in (wanted, "pad", "mask", "unknown", "eos"):
        found = known.get(name)
        if found is not None:
            return found, tokenizer.name_of(found)
    return 0, tokenizer.name_of(0)


def _check_captum() -> None:
    from importlib.util import find_spec

    if find_spec("captum") is None:
        raise RecipeError(
            "integrated gradients need Captum, which is not installed",
            seen="method: ig",
            next=f"{INSTALL}, or explain by `occlusion`",
        )
