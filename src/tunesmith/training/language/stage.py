"""The train_language stage: from tokens and a base to a language model, by the one loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from torch import nn

from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.core.tasks import LanguageTask
from tunesmith.models.language_folder import save_language
from tunesmith.models.language_manifest import LanguageManifest, RowLength, TemplateReference
from tunesmith.models.manifest import BaseReference, TextRepair
from tunesmith.training.language.assemble import Assembled, assemble
from tunesmith.training.language.phase_config import TrainLanguageConfig
from tunesmith.training.stage import outcome, write_history


class TrainLanguage:
    """Fine-tunes one phase of a language model."""

    makes: ClassVar[Mapping[str, str]] = {"model": "model", "history": "history"}

    def __init__(self, config: TrainLanguageConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the model and of its history."""
        made = assemble(self.config, given, context)
        state = made.loop.fit()
        model: nn.Module = made.model.module.model  # type: ignore[assignment]
        num_trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
        # An adapter stands beside the base's weights; one over another phase's model would stand beside nothing.
        is_apart = made.trainable.is_adapter and "parent" not in given
        module = model if is_apart else made.trainable.whole(model)
        start, folder = made.start, context.out / "model"
        manifest = _manifest(self.config, given, made)
        manifest = save_language(manifest, module.cpu(), start.files, start.template, folder, ends=made.ends)
        facts = {
            **manifest.model_dump(mode="json"),
            **outcome(state, len(made.loop.train_rows), made.loop.settings),
            **lost(given["tokens"].facts),
            "num_trained_parameters": num_trained,
            "lr": made.lr,
            "precision": made.loop.networks.precision,
            **made.loop.mishaps.facts(),
        }
        return {"model": facts, "history": write_history(state, context)}


def lost(tokens: Mapping[str, Any]) -> dict[str, int]:
    """Rows and tokens that the length policy took, from the facts of a TOKENS artifact."""
    sources = list(tokens.get("by_source", {}).values())
    names = {"truncated_rows": "truncated", "num_truncated_tokens": "cut_tokens", "dropped_rows": "dropped"}
    return {name: sum(int(one.get(key, 0)) for one in sources) for name, key in names.items()}


def _manifest(config: TrainLanguageConfig, given: Given, made: Assembled) -> LanguageManifest:
    base, tokens, start = given["base"], given["tokens"].facts, made.start
    return LanguageManifest(
        task=cast(LanguageTask, config.task),
        network=base.facts.get("network", "decoder"),
        base=BaseReference(name=base.facts["name"], digest=base.digest, commit=base.facts.get("commit")),
        trainable=config.trainable.kind,
        template=TemplateReference(name=start.template.name, digest=start.template.digest),
        tokenizer=start.vocabulary.digest,
        num_vocabulary=made.num_vocabulary,
        length=RowLength(max_tokens=tokens["max_tokens"], policy=tokens["policy"]),
        repair=TextRepair.model_validate(tokens.get("repair", {})),
        privacy=tokens.get("privacy"),
    )
