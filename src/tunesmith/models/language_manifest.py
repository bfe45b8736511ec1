"""``model.json`` of a language model. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tunesmith.core.config import Config
from tunesmith.core.tasks import LanguageTask
from tunesmith.models.manifest import AdapterReference, BaseReference, TextRepair, read_text, write_text

WEIGHTS = "weights"
TEMPLATE_FILE = "chat_template.jinja"


class TemplateReference(Config):
    """The chat template that prompts are rendered by, in training as in answering."""

    name: str
    """``model`` (the base's own), ``chatml``, ``plain``, or the path the recipe named."""
    digest: str
    """SHA-256 of its text, which lies with the model as ``chat_template.jinja``."""


class RowLength(Config):
    """The longest row, prompt and answer together, and what was done to longer ones."""

    max_tokens: int
    """Tokens of a row at most, special tokens included; the model's context where the recipe named none."""
    policy: Literal["truncate_left", "truncate_right", "drop", "split", "refuse"]
    """What was done to longer rows in training; a prompt that leaves no room for an answer loses its start."""


class LanguageManifest(Config):
    """The manifest of a MODEL artifact that writes text."""

    format: Literal[1] = 1
    """Version of this file's layout."""
    task: LanguageTask
    """What the model is for."""
    network: Literal["encoder", "decoder", "encoder_decoder"] = "decoder"
    """How it reads and writes: in one sequence, or a text into another; an encoder only fills in what is masked."""
    base: BaseReference
    """Where the weights come from."""
    trainable: str
    """What learned: an unmerged ``lora`` stands beside the base's weights, the others keep their own."""
    template: TemplateReference
    """How conversations become text."""
    tokenizer: str
    """SHA-256 of the tokenizer.json it was trained with: another one would give its tokens other meanings."""
    num_vocabulary: int
    """Rows of the embedding table."""
    adapter: AdapterReference | None = None
    """The adapter that has to be added to the base; null: none, or merged."""
    length: RowLength
    """The length policy."""
    repair: TextRepair = TextRepair()
    """How texts are repaired before they are read."""
    privacy: dict[str, Any] | None = None
    """How personal data was redacted or pseudonymised in every text, before it was repaired: `data.privacy` of the
    recipe; null: it was not."""

    def write(self, folder: Path) -> None:
        """Put the manifest into a model's folder."""
        write_text(self, folder)

    @classmethod
    def read(cls, folder: Path) -> LanguageManifest:
        """The manifest of a model's folder.

        Raises: ModelError where it is missing or of another format.
        """
        return read_text(cls, folder)
