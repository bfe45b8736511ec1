"""A recipe as ordered steps, and what they are expected to take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.lifecycle import outlook
from tunesmith.lifecycle.flows import flow_of
from tunesmith.lifecycle.language_plan import forecast_phase, language_plan
from tunesmith.lifecycle.planned import Plan, PlannedStep, known_when_planning
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.steps import StepSpec
from tunesmith.recipe.language import LanguageRecipe
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.selection import resources
from tunesmith.training.config import LayersConfig
from tunesmith.training.language.phase_config import TrainLanguageConfig

SAMPLED_ROWS = 20_000
"""Rows whose tokens a plan counts; of a larger data set it says so and scales up."""
SPLITS = ("train", "validation", "test")


def make_plan(recipe: AnyRecipe, runner: Runner) -> Plan:
    """The plan of a recipe: ingests and prepares for real (a run takes those results over), forecasts the rest."""
    if isinstance(recipe, LanguageRecipe):
        return language_plan(recipe, runner)
    assert isinstance(recipe, Recipe)
    specs = flow_of(recipe, runner.store).specs
    now = known_when_planning(specs)
    runner.keys |= runner.keys_of(specs)
    before = {spec.name: runner.status_of(spec) for spec in specs}
    results = runner.run(now)
    splits = results.get("extend", results["prepare"])["splits"]
    quality = results["prepare"]["quality"]
    base = outlook.planned_base(specs, results, runner)
    lengths = token_lengths(recipe, splits, base)
    planned = []
    for spec in specs:
        status = ("cached" if before[spec.name] == "cached" else "done") if spec in now else runner.status_of(spec)
        read = outlook.base_of(spec, results, base)
        forecast = None
        if status in ("cached", "done"):
            pass
        elif isinstance(spec.config, TrainLanguageConfig):
            tokens = results.get(spec.given["tokens"].step)
            forecast = forecast_phase(spec.config, read, tokens["tokens"]) if tokens is not None else None
        else:
            forecast = _forecast(recipe, spec, read, lengths, len(splits.facts["labels"]))
        as_json = None if forecast is None else forecast.to_dict()
        planned.append(PlannedStep(spec.name, spec.kind, runner.keys[spec.name], status, as_json))
    forecasts = [one.forecast for one in planned if one.forecast is not None]
    return Plan(
        recipe=recipe.name,
        task=recipe.task,
        sources=[dict(results[f"ingest:{source.name}"]["dataset"].facts) for source in recipe.read_sources],
        rows=splits.facts,
        quality=quality.facts,
        base={name: value for name, value in base.facts.items() if name != "files"},
        lengths=lengths,
        steps=planned,
        total={
            "seconds": round(sum(one["seconds"] for one in forecasts), 1),
            "peak_bytes": max((one["peak_bytes"] for one in forecasts), default=0),
        },
        candidates=outlook.candidates(
            recipe, specs, results, lengths["splits"]["train"]["tokens"], _epochs(recipe, lengths)
        ),
        settings=recipe.for_train().model_dump(mode="json") | {"epochs": _epochs(recipe, lengths)},
        privacy=[dict(made["findings"].facts) for made in results.values() if "findings" in made],
        tokens=[dict(made["tokens"].facts) for made in results.values() if "tokens" in made],
        texts=results["prepare:texts"]["splits"].facts if "prepare:texts" in results else {},
    )


def token_lengths(recipe: Recipe, splits: Artifact, base: Artifact) -> dict[str, Any]:
    """Token counts of each split and what the length policy would lose, from at most 20,000 rows a split."""
    from tunesmith.models.tokenizer import Tokenizer

    limit = int(base.facts["max_tokens"])
    wanted = recipe.head_phase.max_tokens
    max_tokens = limit if wanted == "auto" else min(wanted, limit)
    tokenizer = Tokenizer(base.path / "files", max_tokens)
    result: dict[str, Any] = {"max_tokens": max_tokens, "policy": recipe.head_phase.length_policy, "splits": {}}
    by_source: dict[str, dict[str, int]] = {}
    for name in SPLITS:
        frame = pl.read_parquet(splits.path / f"{name}.parquet", columns=["text", "source_id"])
        sample = frame.head(SAMPLED_ROWS)
        lengths = tokenizer.lengths(sample["text"].to_list())
        scale = frame.height / max(1, sample.height)
        cut = [max(0, one - max_tokens) for one in lengths]
        for source, lost in zip(sample["source_id"], cut, strict=True):
            if lost:
                entry = by_source.setdefault(source, {"rows": 0, "tokens": 0})
                entry["rows"] += 1
                entry["tokens"] += lost
        result["splits"][name] = {
            "rows": frame.height,
            "tokens": int(sum(min(one, max_tokens) for one in lengths) * scale),
            "quantiles": resources.quantiles(lengths),
            "too_long_rows": int(sum(1 for one in cut if one) * scale),
            "tokens_lost": int(sum(cut) * scale),
            "is_estimated": scale > 1,
        }
    result["lost_by_source"] = by_source
    return result


def _epochs(recipe: Recipe, lengths: Mapping[str, Any]) -> float:
    """The passes over the training rows that the settings come to; early stopping may end them sooner."""
    train, num_rows = recipe.for_train(), max(1, lengths["splits"]["train"]["rows"])
    epochs = float(train.num_epochs(num_rows))
    return epochs if train.max_steps is None else min(epochs, round(train.max_steps * train.batch / num_rows, 2))


def _forecast(
    recipe: Recipe, spec: StepSpec, base: Artifact, lengths: Mapping[str, Any], num_labels: int
) -> resources.Forecast | None:
    tokens = {name: one["tokens"] for name, one in lengths["splits"].items()}
    rows = {name: one["rows"] for name, one in lengths["splits"].items()}
    train = recipe.for_train()
    speed = resources.measure_machine(train.precision)
    if spec.kind in ("train", "tune"):
        epochs = _epochs(recipe, lengths)
        epochs += train.range_test_epochs(rows["train"])
        layers = getattr(train.trainable, "layers", None)
        whole = resources.forecast_train(
            base.facts, tokens["train"], epochs, train.trainable.kind, speed, layers=layers, passes=train.num_passes
        )
        return whole if spec.kind == "train" else outlook.forecast_tune(recipe, whole)
    if isinstance(spec.config, LayersConfig):
        num_tokens = tokens["train"] + tokens["validation"]
        return resources.forecast_layers(base.facts, num_tokens, spec.config.layers, train.precision, speed)
    if spec.kind == "features":
        return resources.forecast_forward(base.facts, sum(tokens.values()), speed)
    if spec.kind == "evaluate":
        return resources.forecast_forward(base.facts, tokens["test"], speed)
    if spec.kind == "baselines":
        return resources.forecast_baselines(sum(rows.values()), num_labels)
    return None
