"""What a plan can say of models to choose from and of settings to search for, before either is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.artifact import Artifact
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.steps import StepSpec
from tunesmith.recipe.recipe import Recipe
from tunesmith.selection import resources

SELECT = "select"


def planned_base(specs: Sequence[StepSpec], results: Mapping[str, Mapping[str, Artifact]], runner: Runner) -> Artifact:
    """The base that forecasts are made with: the one named or chosen already, else the costliest that may be chosen."""
    bases = [made["base"] for made in results.values() if "base" in made]
    if any(spec.name == SELECT for spec in specs):
        done = runner.store.find(runner.keys[SELECT])
        if done is not None:
            return done["base"]
    return max(bases, key=lambda one: resources.body_parameters(one.facts))


def base_of(spec: StepSpec, results: Mapping[str, Mapping[str, Artifact]], base: Artifact) -> Artifact:
    """The base that a step reads, where it is pinned by now."""
    source = spec.given.get("base")
    made = results.get(source.step, {}) if source is not None else {}
    return made.get("base", base)


def candidates(
    recipe: Recipe,
    specs: Sequence[StepSpec],
    results: Mapping[str, Mapping[str, Artifact]],
    num_tokens: int,
    epochs: float,
) -> dict[str, Any]:
    """The models that will be ranked, each with its forecast, and those of the catalogue that are not here."""
    select = next((spec for spec in specs if spec.name == SELECT), None)
    if select is None:
        return {}
    train = recipe.for_train()
    speed = resources.measure_machine(train.precision)
    ranked = []
    for name, source in select.given.items():
        if name.startswith("base:"):
            facts = results[source.step]["base"].facts
            forecast = resources.forecast_train(facts, num_tokens, epochs, train.trainable.kind, speed)
            ranked.append({**_shown(facts), "training": forecast.to_dict()})
    return {"models": ranked, "absent": [dict(one) for one in select.config.model_dump()["absent"]]}


def forecast_tune(recipe: Recipe, whole: resources.Forecast) -> resources.Forecast:
    """The forecast of a search, from that of one whole training."""
    assert recipe.tune is not None
    each_s = max(0.0, whole.seconds - resources.START_S)
    trials, budget_s = recipe.tune.num_trials, recipe.tune.budget_s
    if trials is None:
        assert budget_s is not None
        lasts = f"lasts for about {budget_s / max(each_s, 1e-9):.0f} whole trainings"
        return resources.Forecast(budget_s, whole.peak_bytes, f"the budget, which {lasts}")
    num_whole = recipe.tune.searcher.whole_trials(trials)
    seconds, words = resources.START_S + num_whole * each_s, f"{trials} trials, {num_whole:.1f} whole trainings"
    if budget_s is not None and budget_s < seconds:
        return resources.Forecast(budget_s, whole.peak_bytes, f"the budget; all of {words} take longer")
    return resources.Forecast(seconds, whole.peak_bytes, words)


def _shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    names = ("name", "model_type", "num_parameters", "hidden", "num_layers", "max_tokens")
    return {name: facts[name] for name in names} | {"size_bytes": 4 * int(facts["num_parameters"])}
