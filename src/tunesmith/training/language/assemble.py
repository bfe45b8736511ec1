"""A phase of a language model, ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import RecipeError
from tunesmith.core.method import Method, Network, Row
from tunesmith.core.stage import Given, StepContext
from tunesmith.models.language_folder import num_embeddings
from tunesmith.training.batch import Batching
from tunesmith.training.language.batches import PackedTokens, PaddedTokens
from tunesmith.training.language.columns import Columned
from tunesmith.training.language.looks import Looks, sample_of
from tunesmith.training.language.memory import language_budget
from tunesmith.training.language.network import as_network, check_apart
from tunesmith.training.language.phase_config import TrainLanguageConfig
from tunesmith.training.language.rows import TokenRows
from tunesmith.training.language.start import Start, check_rows, ends_of, start_of
from tunesmith.training.language.trainables import LanguageTrainable
from tunesmith.training.loop import Loop, Settings
from tunesmith.training.methods.continued_pretraining import ContinuedPretraining, masked_tokens
from tunesmith.training.optimizers import groups
from tunesmith.training.precision import resolve
from tunesmith.training.stage import settings_of
from tunesmith.training.step import Networks


@dataclass(frozen=True)
class Assembled:
    """A phase ready to run: the loop with all it needs, and what is said of the model."""

    loop: Loop
    model: Network
    start: Start
    ends: Sequence[int]
    trainable: LanguageTrainable
    num_vocabulary: int
    lr: float
    """Peak learning rate."""


def assemble(config: TrainLanguageConfig, given: Given, context: StepContext) -> Assembled:
    """The phase that a config describes; the seed is set before anything is initialised."""
    torch.manual_seed(context.seed)
    base, tokens = given["base"], given["tokens"]
    start = start_of(config, given, context)
    splits = {name: TokenRows(tokens.path, name) for name in ("train", "validation")}
    check_rows(config, splits["train"], tokens, start)
    num_vocabulary = num_embeddings(start.module)
    method = _method(config, base, start, num_vocabulary, context.seed)
    if config.packing:
        _check_packing(base, start.module, num_vocabulary)
    make = wiring.load(wiring.wire("language_trainable", config.trainable.kind).make)
    trainable: LanguageTrainable = make(config.trainable)
    model = as_network(_ready(trainable.prepare(start.module), config), config.neftune_alpha)
    for one in start.new:
        one.requires_grad_(True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.module.to(device)
    networks = Networks({"model": model}, resolve(config.precision), device)

    batching: Batching = PackedTokens() if config.packing else PaddedTokens()
    rows: dict[str, Sequence[Row]] = {name: Columned(method, split) for name, split in splits.items()}
    if isinstance(method, ContinuedPretraining):
        rows["validation"] = method.held_out(rows["validation"])
    lr = config.lr_at(int(base.facts["hidden"]))
    ends = ends_of(tokens.facts, splits["train"], start.vocabulary)
    shown = 0 if base.facts.get("network") == "encoder" else min(config.samples.rows, len(splits["validation"]))
    about = splits["validation"].table
    looks = Looks(
        method,
        networks,
        rows["validation"],
        about["source_id"].to_list(),
        batching,
        [sample_of(about["row_id"][place], splits["validation"][place]) for place in range(shown)],
        start.vocabulary,
        ends,
        config.samples.max_new_tokens,
    )
    loop = Loop(
        method,
        networks,
        {"model": _optimizer(config, model, lr)},
        rows,
        _settings(config, base, context, len(rows["train"]), num_vocabulary),
        context,
        batching=batching,
        look=looks,
        name_row=splits["train"].table["row_id"].__getitem__,
    )
    return Assembled(loop, model, start, ends, trainable, num_vocabulary, lr)


def _method(config: TrainLanguageConfig, base: Artifact, start: Start, num_vocabulary: int, seed: int) -> Method:
    """The method, told what it needs to know of the network.

    Raises: RecipeError where it is none for such a network.
    """
    network, kind = base.facts.get("network", "decoder"), config.method.kind
    about: Any = None
    if network == "encoder_decoder" and kind == "sft":
        settings: Any = start.module.config
        about = settings.decoder_start_token_id
    elif network == "encoder" and kind == "continued_pretraining":
        about = masked_tokens(start.vocabulary, num_vocabulary, seed)
    elif network != "decoder":
        allowed = {"encoder": "continued_pretraining", "encoder_decoder": "sft"}[network]
        raise RecipeError(
            f"`{kind}` does not train an {network.replace('_', '-')}",
            seen=f"{base.facts['name']}, train.method: {kind}",
            allowed=allowed,
            next=f"write `method: {allowed}`, or name a decoder",
        )
    method: Method = wiring.load(wiring.wire("language_method", kind).make)(config.method, about)
    return method


def _check_packing(base: Artifact, module: nn.Module, num_vocabulary: int) -> None:
    if base.facts.get("network", "decoder") != "decoder":
        raise RecipeError(
            "rows are packed for decoders only: the positions of other networks do not keep rows apart",
            seen=f"train.packing: true, {base.facts['name']}",
            next="leave `train.packing` out",
        )
    check_apart(module, num_vocabulary)


def _ready(model: nn.Module, config: TrainLanguageConfig) -> nn.Module:
    """The model with its activations computed again in the backward pass, where that was asked for."""
    if config.gradient_checkpointing:
        # Not reentrant: that kind loses gradients where the embeddings are frozen.
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator]
    return model


def _optimizer(config: TrainLanguageConfig, model: Network, lr: float) -> torch.optim.Optimizer:
    make = wiring.load(wiring.wire("optimizer", config.optimizer.kind).make)
    parameters = groups(
        model.module.named_parameters(),
        lr=lr,
        head_lr=lr,
        weight_decay=config.optimizer.weight_decay,
    )
    optimizer: torch.optim.Optimizer = make(parameters, config.optimizer)
    return optimizer


def _settings(
    config: TrainLanguageConfig, base: Artifact, context: StepContext, num_rows: int, num_vocabulary: int
) -> Settings:
    budget = language_budget(config.microbatch_tokens, base.facts, num_vocabulary)
    return replace(settings_of(config, num_rows, "loss", budget, context.seed), on_nan=config.on_nan)
