"""The plan of a recipe that a language model answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.lifecycle.flows import flow_of
from tunesmith.lifecycle.planned import Plan, PlannedStep, known_when_planning
from tunesmith.lifecycle.runner import Runner
from tunesmith.recipe.language import LanguageRecipe
from tunesmith.selection import resources
from tunesmith.training.language.phase_config import TrainLanguageConfig

Results = Mapping[str, Mapping[str, Artifact]]


def language_plan(recipe: LanguageRecipe, runner: Runner) -> Plan:
    """The plan: rows are read, prepared and turned into tokens for real, training is forecast."""
    specs = flow_of(recipe, runner.store).specs
    now = known_when_planning(specs)
    runner.keys |= runner.keys_of(specs)
    before = {spec.name: runner.status_of(spec) for spec in specs}
    results = runner.run(now)
    base, splits = results["base"]["base"], results["prepare"]["splits"]
    phases = [made["tokens"] for made in results.values() if "tokens" in made]
    planned, trained = [], 0
    for spec in specs:
        status = ("cached" if before[spec.name] == "cached" else "done") if spec in now else runner.status_of(spec)
        forecast = None
        if isinstance(spec.config, TrainLanguageConfig):
            if status not in ("cached", "done"):
                forecast = forecast_phase(spec.config, base, phases[trained]).to_dict()
            trained += 1
        planned.append(PlannedStep(spec.name, spec.kind, runner.keys[spec.name], status, forecast))
    forecasts = [one.forecast for one in planned if one.forecast is not None]
    last = recipe.for_train()[-1]
    return Plan(
        recipe=recipe.name,
        task=recipe.task,
        sources=[_source(results, source.name) for source in recipe.data.sources],
        rows=splits.facts,
        quality=results["prepare"]["quality"].facts,
        base={name: value for name, value in base.facts.items() if name != "files"},
        lengths=_lengths(phases[-1]),
        steps=planned,
        total={
            "seconds": round(sum(one["seconds"] for one in forecasts), 1),
            "peak_bytes": max((one["peak_bytes"] for one in forecasts), default=0),
        },
        settings=_settings(last, base, phases[-1]),
        privacy=[dict(made["findings"].facts) for made in results.values() if "findings" in made],
        tokens=[dict(one.facts) for one in phases],
    )


def _source(results: Results, name: str) -> dict[str, Any]:
    """The facts of a source, and what its rows were read as."""
    made = results[f"format:{name}"]["dataset"].facts
    return dict(results[f"ingest:{name}"]["dataset"].facts) | {key: made[key] for key in ("conversations", "notes")}


def _lengths(tokens: Artifact) -> dict[str, Any]:
    """How long rows are, and what the length policy takes, in the form of every plan."""
    facts = tokens.facts
    splits = {}
    for name in facts["by_split"]:
        rows = pl.read_parquet(tokens.path / f"{name}.rows.parquet", columns=["num_tokens", "num_cut"])
        splits[name] = {
            "rows": rows.height,
            "tokens": int(rows["num_tokens"].sum()),
            "quantiles": resources.quantiles(rows["num_tokens"].to_list()),
            "too_long_rows": int((rows["num_cut"] > 0).sum()),
            "tokens_lost": int(rows["num_cut"].sum()),
            "is_estimated": False,
        }
    lost = {
        source: {"rows": counts["dropped"] + counts["truncated"], "tokens": counts["cut_tokens"]}
        for source, counts in facts["by_source"].items()
        if counts["dropped"] + counts["truncated"]
    }
    return {
        "max_tokens": facts["max_tokens"],
        "policy": facts["policy"],
        "splits": splits,
        "lost_by_source": lost,
    }


def _settings(train: TrainLanguageConfig, base: Artifact, tokens: Artifact) -> dict[str, Any]:
    """The settings of a phase, with what the model's size and the number of rows decide."""
    settings = train.model_dump(mode="json")
    settings["optimizer"]["lr"] = train.lr_at(base.facts["hidden"])
    return settings | {"epochs": _epochs(train, tokens)}


def _epochs(train: TrainLanguageConfig, tokens: Artifact) -> float:
    """The passes over the training rows that the settings come to; early stopping may end them sooner."""
    num_rows = max(1, pl.scan_parquet(tokens.path / "train.rows.parquet").select(pl.len()).collect().item())
    epochs = float(train.num_epochs(num_rows))
    return epochs if train.max_steps is None else min(epochs, round(train.max_steps * train.batch / num_rows, 2))


def forecast_phase(train: TrainLanguageConfig, base: Artifact, tokens: Artifact) -> resources.Forecast:
    """What a phase takes on this machine."""
    facts: Mapping[str, Any] = base.facts
    num_tokens = _lengths(tokens)["splits"]["train"]["tokens"]
    speed = resources.measure_machine(train.precision)
    layers = getattr(train.trainable, "layers", None)
    epochs = _epochs(train, tokens)
    return resources.forecast_train(facts, num_tokens, epochs, train.trainable.kind, speed, layers=layers)
