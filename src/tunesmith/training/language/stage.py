"""The train_language stage: from tokens and a base to a language model, by the one loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import nn

from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.method import Method, Network
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.core.tasks import LanguageTask
from tunesmith.models.language_folder import num_embeddings, open_base, open_language, save_language, weights_folder
from tunesmith.models.language_manifest import LanguageManifest, RowLength, TemplateReference
from tunesmith.models.manifest import BaseReference, TextRepair
from tunesmith.models.templates.template import ChatTemplate, choose, own_template
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.batch import Batching
from tunesmith.training.language.batches import PackedTokens, PaddedTokens
from tunesmith.training.language.columns import Columned
from tunesmith.training.language.looks import Looks, sample_of
from tunesmith.training.language.memory import language_budget
from tunesmith.training.language.network import as_network, check_apart
from tunesmith.training.language.phase_config import TrainLanguageConfig
from tunesmith.training.language.rows import TokenRows
from tunesmith.training.language.trainables import LanguageTrainable
from tunesmith.training.loop import Loop, Settings
from tunesmith.training.optimizers import groups
from tunesmith.training.precision import resolve
from tunesmith.training.stage import outcome, write_history
from tunesmith.training.step import Networks
from tunesmith.training.validation import Watch

ENDS_LOOKED_AT = 1000
"""Training rows whose last token is looked at for what ends an answer."""


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
        manifest = save_language(
            made.manifest, module.cpu(), made.start.files, made.start.template, context.out / "model", ends=made.ends
        )
        facts = {
            **manifest.model_dump(mode="json"),
            **outcome(state, len(made.loop.train_rows), made.loop.settings),
            **lost(given["tokens"].facts),
            "num_trained_parameters": num_trained,
            "precision": made.loop.networks.precision,
            **made.loop.mishaps.facts(),
        }
        return {"model": facts, "history": write_history(state, context)}


@dataclass(frozen=True)
class Start:
    """What a phase sets out from: the base, or the model of the phase before."""

    module: nn.Module
    vocabulary: Vocabulary
    template: ChatTemplate
    files: Path
    """The folder of its tokenizer and settings."""


@dataclass(frozen=True)
class Assembled:
    """A phase ready to run: the loop with all it needs, and what is said of the model."""

    loop: Loop
    manifest: LanguageManifest
    model: Network
    start: Start
    ends: Sequence[int]
    trainable: LanguageTrainable


def assemble(config: TrainLanguageConfig, given: Given, context: StepContext) -> Assembled:
    """The phase that a config describes; the seed is set before anything is initialised."""
    torch.manual_seed(context.seed)
    base, tokens = given["base"], given["tokens"]
    start = _start(config, given)
    splits = {name: TokenRows(tokens.path, name) for name in ("train", "validation")}
    _check(config, splits["train"], tokens, start)

    method: Method = wiring.load(wiring.wire("method", config.method.kind).make)(config.method)
    trainable: LanguageTrainable = wiring.load(wiring.wire("language_trainable", config.trainable.kind).make)(
        config.trainable
    )
    if config.packing:
        check_apart(start.module, num_embeddings(start.module))
    num_vocabulary = num_embeddings(start.module)
    model = as_network(_ready(trainable.prepare(start.module), config), config.neftune_alpha)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.module.to(device)
    networks = Networks({"model": model}, resolve(config.precision), device)

    batching: Batching = PackedTokens() if config.packing else PaddedTokens()
    rows = {name: Columned(method, split) for name, split in splits.items()}
    about = {name: split.table for name, split in splits.items()}
    ends = _ends(splits["train"], start.vocabulary)
    shown = min(config.samples.rows, len(splits["validation"]))
    looks = Looks(
        method,
        networks,
        rows["validation"],
        about["validation"]["source_id"].to_list(),
        batching,
        [sample_of(about["validation"]["row_id"][place], splits["validation"][place]) for place in range(shown)],
        start.vocabulary,
        ends,
        config.samples.max_new_tokens,
    )
    loop = Loop(
        method,
        networks,
        {"model": _optimizer(config, model)},
        rows,
        _settings(config, base, context, len(rows["train"]), num_vocabulary),
        context,
        batching=batching,
        look=looks,
        name_row=about["train"]["row_id"].__getitem__,
    )
    return Assembled(loop, _manifest(config, given, start, num_vocabulary), model, start, ends, trainable)


def lost(tokens: Mapping[str, Any]) -> dict[str, int]:
    """Rows and tokens that the length policy took, from the facts of a TOKENS artifact."""
    sources = list(tokens.get("by_source", {}).values())
    names = {"truncated_rows": "truncated", "num_truncated_tokens": "cut_tokens", "dropped_rows": "dropped"}
    return {name: sum(int(one.get(key, 0)) for one in sources) for name, key in names.items()}


def _start(config: TrainLanguageConfig, given: Given) -> Start:
    base, tokens = given["base"], given["tokens"]
    if "parent" in given:
        parent = given["parent"]
        manifest, module, vocabulary = open_language(parent.path, base.path)
        files = weights_folder(manifest, parent.path, base.path)
    else:
        module, vocabulary = open_base(base.path)
        files = base.path / "files"
    template = own_template(tokens.path) or choose(files, vocabulary, task=config.task)
    told = tokens.facts.get("template", {})
    named = ChatTemplate(
        told.get("name", template.name), told.get("source", template.source), template.text, template.tools_text
    )
    return Start(module, vocabulary, named, files)


def _check(config: TrainLanguageConfig, rows: TokenRows, tokens: Artifact, start: Start) -> None:
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


def _ready(model: nn.Module, config: TrainLanguageConfig) -> nn.Module:
    """The model with its activations computed again in the backward pass, where that was asked for."""
    if config.gradient_checkpointing:
        # Not reentrant: that kind loses gradients where the embeddings are frozen.
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator]
    return model


def _optimizer(config: TrainLanguageConfig, model: Network) -> torch.optim.Optimizer:
    make = wiring.load(wiring.wire("optimizer", config.optimizer.kind).make)
    parameters = groups(
        model.module.named_parameters(),
        lr=config.lr,
        head_lr=config.lr,
        weight_decay=config.optimizer.weight_decay,
    )
    optimizer: torch.optim.Optimizer = make(parameters, config.optimizer)
    return optimizer


def _ends(rows: TokenRows, vocabulary: Vocabulary) -> tuple[int, ...]:
    """What ends an answer: the end token, and the tokens, no text, that the last trained places of rows hold."""
    found = set() if vocabulary.eos is None else {vocabulary.eos}
    control = {vocabulary.id_of(text) for text in vocabulary.control}
    for place in range(min(len(rows), ENDS_LOOKED_AT)):
        row = rows[place]
        trained = [token for token, weight in zip(row["tokens"], row["weights"], strict=True) if weight > 0]
        found |= {token for token in trained[-2:] if token in control}
    return tuple(sorted(found))


def _settings(
    config: TrainLanguageConfig, base: Artifact, context: StepContext, num_rows: int, num_vocabulary: int
) -> Settings:
    stopping = config.early_stopping
    return Settings(
        batch=config.batch,
        epochs=config.num_epochs(num_rows),
        max_steps=config.max_steps,
        schedule_kind=config.schedule.kind,
        warmup=config.schedule.warmup,
        decay=config.schedule.decay,
        clip=config.clip,
        validate_every=config.validate_every,
        is_bucketed=config.bucketing,
        seed=context.seed,
        patience=None if stopping is None else stopping.patience,
        watch=Watch("loss", 0.0 if stopping is None else stopping.min_delta),
        budget_tokens=language_budget(config.microbatch_tokens, base.facts, num_vocabulary),
        checkpoint_every_s=config.checkpoint_every_s,
        on_nan=config.on_nan,
    )


def _manifest(config: TrainLanguageConfig, given: Given, start: Start, num_vocabulary: int) -> LanguageManifest:
    base, tokens = given["base"], given["tokens"].facts
    return LanguageManifest(
        task=cast(LanguageTask, config.task),
        network=base.facts.get("network", "decoder"),
        base=BaseReference(name=base.facts["name"], digest=base.digest),
        trainable=config.trainable.kind,
        template=TemplateReference(name=start.template.name, digest=start.template.digest),
        tokenizer=start.vocabulary.digest,
        num_vocabulary=num_vocabulary,
        length=RowLength(max_tokens=tokens["max_tokens"], policy=tokens["policy"]),
        repair=TextRepair.model_validate(tokens.get("repair", {})),
        privacy=tokens.get("privacy"),
    )
