"""The adapt stage: an encoder is pre-trained on with the organisation's texts, and is the base of all later steps."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from tunesmith.core import digests
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.models.folder import NOT_WEIGHTS
from tunesmith.models.masked import LAYER, encoder_of, save_layer
from tunesmith.training.language.assemble import assemble
from tunesmith.training.language.phase_config import TrainLanguageConfig
from tunesmith.training.language.rows import TokenRows
from tunesmith.training.language.stage import lost
from tunesmith.training.stage import outcome, write_history


class Adapt:
    """Makes a base of a base: the same encoder, or decoder below a head, having read more texts."""

    makes: ClassVar[Mapping[str, str]] = {"base": "base", "history": "history"}

    def __init__(self, config: TrainLanguageConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the new base, as the base stage gives them, and of its history."""
        made = assemble(self.config, given, context)
        before = {name: value for name, value in made.loop.looked().items() if math.isfinite(value)}
        state = made.loop.fit()
        if before:
            state.history.insert(0, {"step": 0, "epoch": 0.0, "validation": before})
            if state.best_value is not None and not state.best_value < before["loss"]:
                context.warn("reading the texts made the tokens of the validation texts no easier to guess")
        model: nn.Module = made.model.module.model  # type: ignore[assignment]
        whole, folder = made.trainable.whole(model).cpu(), context.out / "base" / "files"
        is_encoder = given["base"].facts.get("network") == "encoder"
        # A decoder's output layer came with it and stays: all of its files have one.
        kept: Any = encoder_of(whole) if is_encoder else whole
        _save(kept, made.start.files, folder)
        if is_encoder:
            save_layer(whole, context.out / "base" / LAYER)
        adapted = {
            **outcome(state, len(made.loop.train_rows), made.loop.settings),
            **lost(given["tokens"].facts),
            "lr": made.lr,
            "precision": made.loop.networks.precision,
            "trainable": self.config.trainable.kind,
            "method": self.config.method.kind,
            "objective": "masked_tokens" if is_encoder else "next_token",
            "starts_new": bool(made.start.new),
            "before": before.get("loss"),
            "sources": given["tokens"].facts.get("sources"),
            "tokens": int(TokenRows(given["tokens"].path, "train").lengths.sum()),
            **made.loop.mishaps.facts(),
        }
        # A base that was adapted before keeps the record of it.
        phases = [*given["base"].facts.get("adapted", ()), adapted]
        facts: dict[str, Any] = {**given["base"].facts, "dtype": "F32", "adapted": phases}
        facts["num_parameters"] = sum(one.numel() for one in kept.parameters())
        facts["files"] = digests.of_folder(folder)
        text = json.dumps(facts, indent=1, sort_keys=True)
        (context.out / "base" / "base.json").write_text(text + "\n", encoding="utf-8")
        return {"base": facts, "history": write_history(state, context)}


def _save(module: Any, files: Path, folder: Path) -> None:
    module.config.name_or_path = ""  # a folder of this machine
    module.save_pretrained(folder)
    for file in sorted(files.rglob("*")):
        place = folder / file.relative_to(files)
        if file.is_file() and file.suffix in NOT_WEIGHTS and not place.exists() and "index" not in file.name:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
