"""The README.md of a language model's folder: a model card as the Hub reads it, from the manifest alone."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tunesmith.models.dtypes import Dtype
from tunesmith.models.language_manifest import LanguageManifest

PIPELINES = {"encoder": "fill-mask", "decoder": "text-generation", "encoder_decoder": "text2text-generation"}
USES = {
    "chat": "answers conversations",
    "generate": "goes on from a prompt",
    "summarise": "summarises texts",
    "translate": "translates texts",
    "extract": "reads fields out of texts, as JSON",
}


def card(
    manifest: LanguageManifest, *, is_adapter: bool, measured: Sequence[str] = (), dtype: Dtype = "float32"
) -> str:
    """The card's text; ``measured`` are lines on how good the model was found to be, ``dtype`` is that of its
    weights."""
    base = manifest.base
    tag = PIPELINES[manifest.network]
    head = {"library_name": "peft" if is_adapter else "transformers", "pipeline_tag": tag, "tags": ["tunesmith"]}
    if base.hub_id is not None:
        head["base_model"] = base.hub_id
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in sorted(head.items())), "---", ""]
    shown = base.hub_id or base.name.rstrip("/").rpartition("/")[2]
    commit = f"commit `{base.commit}`, " if base.commit else ""
    lines += [
        f"# {manifest.task}: fine-tuned from {shown}",
        "",
        f"This model {USES[manifest.task]}. It was fine-tuned with tunesmith from `{shown}` ({commit}artifact "
        f"`{base.digest[:12]}`); what learned: `{manifest.trainable}`.",
        "",
        f"- Prompts are rendered by `chat_template.jinja` (`{manifest.template.name}`), as in training.",
        f"- Rows of up to {manifest.length.max_tokens:,} tokens, prompt and answer together; longer ones: "
        f"`{manifest.length.policy}`.",
        f"- Vocabulary: {manifest.num_vocabulary:,} embeddings; tokenizer.json `{manifest.tokenizer[:12]}`.",
        f"- Weights: {dtype}" + ("." if dtype == "float32" else ", rounded from float32, in which it was measured."),
    ]
    if manifest.privacy is not None:
        lines.append("- Personal data was redacted or pseudonymised in every text before training.")
    if manifest.repair.unicode or manifest.repair.whitespace:
        lines.append("- Texts were repaired (Unicode, white space) before training.")
    lines += ["", "## Measured", "", *(measured or ["Not part of this file: see the report of the run."]), ""]
    return "\n".join(lines)
