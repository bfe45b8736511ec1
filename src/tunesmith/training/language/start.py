"""What a phase of a language model sets out from, and whether its rows go with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.stage import Given, StepContext
from tunesmith.models.language_folder import num_embeddings, open_base, open_language, weights_folder
from tunesmith.models.masked import LAYER, has_layer, layer_of, load_masked
from tunesmith.models.templates.template import ChatTemplate, choose, own_template
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.language.phase_config import TrainLanguageConfig
from tunesmith.training.language.rows import TokenRows

ENDS_LOOKED_AT = 1000
"""Training rows whose last token is looked at for what ends an answer."""


@dataclass(frozen=True)
class Start:
    """The base, or the model of the phase before."""

    module: nn.Module
    vocabulary: Vocabulary
    template: ChatTemplate
    files: Path
    """The folder of its tokenizer and settings."""
    new: tuple[nn.Parameter, ...] = ()
    """Weights that nothing was ever learned in: they learn, whatever else does."""


def start_of(config: TrainLanguageConfig, given: Given, context: StepContext) -> Start:
    """The model that a phase trains; takes torch's global random state where a layer of it starts new."""
    base, tokens = given["base"], given["tokens"]
    files = base.path / "files"
    new: tuple[nn.Parameter, ...] = ()
    if base.facts.get("network") == "encoder":
        layer = base.path / LAYER
        module, vocabulary = load_masked(files, context.warn, layer), Vocabulary.open(files)
        if not (has_layer(files) or layer.is_file()):
            new = tuple(layer_of(module).values())
    elif "parent" in given:
        manifest, module, vocabulary = open_language(given["parent"].path, base.path)
        files = weights_folder(manifest, given["parent"].path, base.path)
    else:
        module, vocabulary = open_base(base.path)
    template = own_template(tokens.path)
    if template is None:  # texts were not rendered: the model keeps the template it would have had
        return Start(module, vocabulary, choose(files, vocabulary, task=config.task), files, new)
    told = tokens.facts["template"]
    return Start(
        module, vocabulary, ChatTemplate(told["name"], told["source"], template.text, template.tools_text), files
    )


def check_rows(config: TrainLanguageConfig, rows: TokenRows, tokens: Artifact, start: Start) -> None:
    """Raise where the rows are not this model's, or nothing of them would be learned."""
    found = tokens.facts.get("tokenizer")
    if found is not None and found != start.vocabulary.digest:
        raise DataError(
            "the rows were turned into tokens by another tokenizer than this model's",
            seen=f"tokenizer.json {found[:12]}",
            allowed=f"tokenizer.json {start.vocabulary.digest[:12]}",
            next="run the recipe again: the tokens are made anew for this model",
        )
    if not len(rows) or not rows.table["num_trained"].sum():
        raise DataError(
            "no training row has a token to learn from",
            seen=f"{len(rows)} rows, 0 trained tokens",
            next="see what the template trains with `tunesmith data show`, or write `train_on: all`",
        )
    largest = max(int(rows.arrays(place)[0].max(initial=0)) for place in range(len(rows)))
    if largest >= num_embeddings(start.module):
        raise DataError(
            "the rows hold token ids that the model has no embedding for",
            seen=f"id {largest}",
            allowed=f"0 to {num_embeddings(start.module) - 1}",
        )
    stopping = config.early_stopping
    if stopping is not None and stopping.metric not in (None, "loss"):
        raise RecipeError(
            "train.early_stopping.metric is not measured while a language model trains",
            seen=stopping.metric,
            allowed="loss",
        )


def ends_of(facts: Mapping[str, Any], rows: TokenRows, vocabulary: Vocabulary) -> tuple[int, ...]:
    """What ends an answer: the end token, and the tokens, no text, that the last trained places of rows hold."""
    found = set(facts.get("ends", ())) | (set() if vocabulary.eos is None else {vocabulary.eos})
    if "ends" in facts:
        return tuple(sorted(found))
    control = {vocabulary.id_of(text) for text in vocabulary.control}
    for place in range(min(len(rows), ENDS_LOOKED_AT)):
        row = rows[place]
        trained = [token for token, weight in zip(row["tokens"], row["weights"], strict=True) if weight > 0]
        found |= {token for token in trained[-2:] if token in control}
    return tuple(sorted(found))
