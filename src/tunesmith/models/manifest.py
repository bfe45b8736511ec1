"""``model.json``: what a model is, in one small file that everything downstream opens first."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from tunesmith.core.config import Config
from tunesmith.core.errors import ModelError
from tunesmith.models.head_shape import HeadShape

MANIFEST = "model.json"
HEAD = "head.safetensors"
ENCODER = "encoder"
ADAPTER = "adapter"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?")

_Manifest = TypeVar("_Manifest", bound=Config)


class BaseReference(Config):
    """The pre-trained model that a model was made from."""

    name: str
    """As the recipe named it."""
    digest: str
    """Digest of the ``base`` artifact."""
    commit: str | None = None
    """Of a model of the Hub: the commit that its files are of."""

    @property
    def hub_id(self) -> str | None:
        """``owner/name`` of a model of the Hub, without its revision; None for any other."""
        return self.name.partition("@")[0] if HUB_ID.fullmatch(self.name) else None


class NetworkShape(Config):
    """What stands between the encoder and the answer."""

    pooling: Literal["mean", "cls", "last"]
    """How token vectors become one vector."""
    is_normalized: bool = False
    """Whether the pooled vector is scaled to length 1 before the head."""
    hidden: int
    """Width of the pooled vector."""
    dropout: float = 0.1
    """Share of the pooled vector dropped while training."""
    head: HeadShape = HeadShape()
    """Layers between the pooled vector and the last linear layer."""


class AdapterReference(Config):
    """An adapter beside the base's weights, kept apart from them in the folder ``adapter``."""

    kind: Literal["lora"] = "lora"
    """What it is."""
    base_weights: str
    """Digest of the weight files that it was trained over: over others it means nothing."""


class TextRepair(Config):
    """What was done to every text before training: the same is done to every text that is answered."""

    unicode: bool = False
    """Mojibake, HTML entities and control characters are repaired."""
    whitespace: bool = False
    """Runs of white space become one space, invisible characters go."""


class LengthPolicy(Config):
    """What happens to texts longer than the model reads."""

    max_tokens: int
    """Tokens read, special tokens included."""
    policy: Literal["truncate_right", "truncate_left", "drop", "refuse"] = "truncate_right"
    """What was done in training; predictions always answer, truncated on the same side."""


class Standardization(Config):
    """Mean and deviation of the training target: the network predicts ``(target - mean) / std``."""

    mean: float
    """Mean of the training target."""
    std: float
    """Standard deviation of the training target."""


class Rejection(Config):
    """When a text is answered at all, and what it is called when it is not."""

    score: Literal["max_probability", "max_logit", "energy"]
    """What is compared with the threshold: the largest probability (Hendrycks and Gimpel 2017), the largest logit
    (Hendrycks et al. 2022) or the log of the summed exponentials of the logits (Liu et al. 2020)."""
    threshold: float
    """A text is answered where its score is at least this."""
    label: str | None = None
    """What a rejected text is called; null: it gets no label."""
    keep: float
    """The share of the validation rows in scope that was to be answered."""


class Decision(Config):
    """How the network's outputs become an answer; calibrated on the validation rows at the end of training."""

    temperature: float = 1.0
    """Logits are divided by it before they become probabilities (Guo et al. 2017)."""
    thresholds: tuple[float, ...] = ()
    """``tag``: a label is given where its probability is at least this, in the order of the labels; above 1: never."""
    reject: Rejection | None = None
    """``classify``: texts the model does not know are rejected; null: every text is answered."""


class ModelManifest(Config):
    """The manifest of a MODEL artifact."""

    format: Literal[1] = 1
    """Version of this file's layout."""
    task: Literal["classify", "tag", "regress"]
    """What the model answers."""
    labels: tuple[str, ...] = ()
    """Labels in the order of the network's outputs."""
    target: Standardization | None = None
    """For ``regress`` with one target: how its output becomes a value."""
    targets: dict[str, Standardization] = Field(default_factory=dict)
    """For ``regress`` with several targets: how each output becomes a value, by target, in the order of the outputs."""
    decision: Decision = Decision()
    """How outputs become an answer."""
    base: BaseReference
    """Where the weights come from."""
    trainable: str
    """What learned: ``head`` and unmerged ``lora`` use the base's encoder, the others keep their own."""
    network: NetworkShape
    """The network's shape."""
    adapter: AdapterReference | None = None
    """The adapter that has to be added to the base; null: none, or merged."""
    length: LengthPolicy
    """The length policy."""
    repair: TextRepair = TextRepair()
    """How texts are repaired before they are read."""
    privacy: dict[str, Any] | None = None
    """How personal data was redacted or pseudonymised in every text, before it was repaired: `data.privacy` of the
    recipe; null: it was not."""

    @property
    def scales(self) -> tuple[Standardization, ...]:
        """For ``regress``: how each output becomes a value, in the order of the outputs."""
        return tuple(self.targets.values()) or (() if self.target is None else (self.target,))

    @property
    def num_outputs(self) -> int:
        """Width of the network's last layer."""
        return len(self.targets or "1") if self.task == "regress" else len(self.labels)

    def write(self, folder: Path) -> None:
        """Put the manifest into a model's folder."""
        write_text(self, folder)

    @classmethod
    def read(cls, folder: Path) -> ModelManifest:
        """The manifest of a model's folder.

        Raises: ModelError where it is missing or of another format.
        """
        return read_text(cls, folder)


def write_text(manifest: Config, folder: Path) -> None:
    """Put a manifest of any kind into a model's folder."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_text(kind: type[_Manifest], folder: Path) -> _Manifest:
    """The manifest of that kind in a model's folder.

    Raises: ModelError where it is missing or of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError("this folder is no tunesmith model", seen=f"no {MANIFEST} in {folder.name}")
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ModelError(f"{MANIFEST} is damaged or from another version", seen=str(error)) from error
