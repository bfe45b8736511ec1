"""A model whose answers can be worked out by hand: the mean of its tokens' vectors, and a linear layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.engines.transformers import TransformersEngine
from tunesmith.models.heads import Head
from tunesmith.models.manifest import BaseReference, LengthPolicy, ModelManifest, NetworkShape, Standardization
from tunesmith.models.tokenizer import Tokenizer

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "the", "film", "was", "very")
HIDDEN = 3


class Bag(nn.Module):
    """An encoder whose vectors are its embeddings, some of them bent where asked."""

    def __init__(self, table_VD: Tensor, is_bent: bool = False) -> None:
        super().__init__()
        self.embeddings, self.is_bent = nn.Embedding.from_pretrained(table_VD, freeze=False), is_bent
        self.config = type("Config", (), {"pad_token_id": 0, "model_type": "bag"})()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        states_BTD = self.embeddings(input_ids)
        if self.is_bent:
            states_BTD = torch.tanh(3 * states_BTD) * states_BTD.abs()
        return type("Output", (), {"last_hidden_state": states_BTD})()


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer as Fast
    from tokenizers import models, pre_tokenizers, processors

    fast = Fast(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast.save(str(folder / "tokenizer.json"))


def engine(
    folder: Path,
    table_VD: Tensor,
    weight_CD: Tensor,
    bias_C: Tensor | None = None,
    *,
    task: Any = "classify",
    is_bent: bool = False,
    scale: tuple[float, float] = (0.0, 1.0),
) -> TransformersEngine:
    """Such a model, ready to answer; ``scale`` is the mean and deviation of a number's target."""
    from tunesmith.models.encoder import TextNetwork

    write_tokenizer(folder)
    labels = () if task == "regress" else tuple(f"label{place}" for place in range(len(weight_CD)))
    manifest = ModelManifest(
        task=task,
        labels=labels,
        target=Standardization(mean=scale[0], std=scale[1]) if task == "regress" else None,
        base=BaseReference(name="bag", digest="0"),
        trainable="full",
        network=NetworkShape(pooling="mean", hidden=HIDDEN, dropout=0.0),
        length=LengthPolicy(max_tokens=16),
    )
    head = Head(HIDDEN, len(weight_CD), 0.0, False)
    with torch.no_grad():
        head.linear.weight.copy_(weight_CD)
        head.linear.bias.copy_(torch.zeros(len(weight_CD)) if bias_C is None else bias_C)
    network = TextNetwork(Bag(table_VD, is_bent), head, "mean").eval()
    return TransformersEngine(manifest, network, Tokenizer(folder, 16))


def table(seed: int = 0) -> Tensor:
    """Vectors of the words."""
    return torch.randn(len(WORDS), HIDDEN, generator=torch.Generator().manual_seed(seed))


def weights(num_outputs: int, seed: int = 1) -> Tensor:
    """Weights of the linear layer."""
    return torch.randn(num_outputs, HIDDEN, generator=torch.Generator().manual_seed(seed))


def only(word: str, label: int) -> tuple[Tensor, Tensor]:
    """A table and weights of two labels by which one word alone speaks for one label, and no other word for any."""
    table_VD = torch.zeros(len(WORDS), HIDDEN)
    table_VD[WORDS.index(word), 0] = 4.0
    weight_CD = torch.zeros(2, HIDDEN)
    weight_CD[label, 0], weight_CD[1 - label, 0] = 1.0, -1.0
    return table_VD, weight_CD
