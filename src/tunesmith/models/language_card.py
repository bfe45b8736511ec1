"""The README.md of a language model's folder: a model card as the Hub reads it, from the manifest alone."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from tunesmith.models.language_manifest import LanguageManifest

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*\Z")
PIPELINES = {"encoder": "fill-mask", "decoder": "text-generation", "encoder_decoder": "text2text-generation"}
USES = {
    "chat": "answers conversations",
    "generate": "goes on from a prompt",
    "summarise": "summarises texts",
    "translate": "translates texts",
    "extract": "reads fields out of texts, as JSON",
}


def card(manifest: LanguageManifest, *, is_adapter: bool, measured: Sequence[str] = ()) -> str:
    """The card's text; ``measured`` are lines on how good the model was found to be."""
    name = manifest.base.name.partition("@")[0]
    tag = PIPELINES[manifest.network]
    head = {"library_name": "peft" if is_adapter else "transformers", "pipeline_tag": tag, "tags": ["tunesmith"]}
    if HUB_ID.match(name):
        head["base_model"] = name
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in sorted(head.items())), "---", ""]
    shown = name if HUB_ID.match(name) else name.rstrip("/").rpartition("/")[2]
    lines += [
        f"# {manifest.task}: fine-tuned from {shown}",
        "",
        f"This model {USES[manifest.task]}. It was fine-tuned with tunesmith from `{shown}` (artifact "
        f"`{manifest.base.digest[:12]}`); what learned: `{manifest.trainable}`.",
        "",
        f"- Prompts are rendered by `chat_template.jinja` (`{manifest.template.name}`), as in training.",
        f"- Rows of up to {manifest.length.max_tokens:,} tokens, prompt and answer together; longer ones: "
        f"`{manifest.length.policy}`.",
        f"- Vocabulary: {manifest.num_vocabulary:,} embeddings; tokenizer.json `{manifest.tokenizer[:12]}`.",
    ]
    if manifest.privacy is not None:
        lines.append("- Personal data was redacted or pseudonymised in every text before training.")
    if manifest.repair.unicode or manifest.repair.whitespace:
        lines.append("- Texts were repaired (Unicode, white space) before training.")
    lines += ["", "## Measured", "", *(measured or ["Not part of this file: see the report of the run."]), ""]
    return "\n".join(lines)
