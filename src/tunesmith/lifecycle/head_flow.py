"""The steps of a recipe that a head answers: each part adds its steps and says where the parts after it read."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tunesmith.core import digests, machine, wiring
from tunesmith.core.errors import RecipeError
from tunesmith.data.config import LabelledTextsConfig
from tunesmith.data.extend_config import CORRECTIONS
from tunesmith.data.labels.config import WithoutSuspectsConfig
from tunesmith.explanation.config import INSTALL, VectorsConfig
from tunesmith.lifecycle.base_step import add_base
from tunesmith.lifecycle.champion import find_champion
from tunesmith.lifecycle.flow import Flow, ingest, privacy
from tunesmith.lifecycle.steps import From
from tunesmith.recipe.recipe import Recipe
from tunesmith.selection.catalogue import candidates
from tunesmith.selection.config import AUTO


def add_head_parts(recipe: Recipe, flow: Flow) -> None:
    """Add every step in its order."""
    ingest(recipe, flow, required=() if "text" in recipe.data.derive else ("text",))
    privacy(recipe, flow)
    parts = (
        _prepare,
        _extend,
        _base,
        _features,
        _label_errors,
        _baselines,
        _adapt,
        _layers,
        _tune,
        _train,
        _augment,
        _measures,
        _evaluate,
        _explain,
    )
    for part in parts:
        part(recipe, flow)


def _prepare(recipe: Recipe, flow: Flow) -> None:
    apart = {*recipe.text_sources, recipe.champion and recipe.champion.corrections}
    labelled = {name: one for name, one in flow.datasets.items() if name not in apart}
    config = recipe.for_extend()
    if labelled or config is None or recipe.champion is None:
        flow.add("prepare", "prepare", recipe.for_prepare(), labelled | flow.tables)
    else:
        before = find_champion(flow.store, recipe.champion.model, recipe.task).splits
        flow.add("prepare", "unread", config, held={"before": before})
    flow.at |= {"splits": From("prepare", "splits"), "quality": From("prepare", "quality")}


def _extend(recipe: Recipe, flow: Flow) -> None:
    """New rows join those of the model in production, which keep their splits."""
    config = recipe.for_extend()
    if config is not None and recipe.champion is not None:
        before = find_champion(flow.store, recipe.champion.model, recipe.task).splits
        given = flow.given("splits")
        if recipe.champion.corrections is not None:
            given[CORRECTIONS] = flow.datasets[recipe.champion.corrections]
        flow.add("extend", "extend", config, given, held={"before": before})
        flow.at["splits"] = From("extend", "splits")


def _base(recipe: Recipe, flow: Flow) -> None:
    if recipe.champion is not None and recipe.champion.from_weights:
        flow.at["base"] = add_base(flow, "base", recipe.champion.model)
        return
    if isinstance(recipe.model, str) and recipe.model != AUTO:
        flow.at["base"] = add_base(flow, "base", recipe.model)
        return
    models, absent = candidates(recipe.model)
    given = flow.given("splits")
    for number, name in enumerate(models, 1):
        base, features = f"base:{number}", f"features:{number}"
        given[base] = add_base(flow, base, name)
        flow.add(features, "features", recipe.for_features(), {"base": given[base], "splits": given["splits"]})
        given[f"activations:{number}"] = From(features, "activations")
    flow.add("select", "select", recipe.for_select(models, absent), given)
    flow.at |= {name: From("select", name) for name in ("base", "activations", "ranking")}


def _features(recipe: Recipe, flow: Flow) -> None:
    if "ranking" in flow.at and not flow.variant:
        return  # the chosen model's were made for the ranking
    is_needed = "activations" in _needs(recipe) or recipe.data.label_errors is not None
    if is_needed or _baselines_need_features(recipe):
        step = flow.add("features", "features", recipe.for_features(), flow.given("base", "splits"))
        flow.at["activations"] = From(step, "activations")


def _label_errors(recipe: Recipe, flow: Flow) -> None:
    config = recipe.data.label_errors
    if config is None:
        return
    if importlib.util.find_spec("cleanlab") is None:
        raise RecipeError(
            "`data.label_errors` needs cleanlab, which is not installed", next='pip install "tunesmith[labels]"'
        )
    flow.add("label_errors", "label_errors", config, flow.given("splits", "activations"))
    flow.at["label_errors"] = From("label_errors", "label_errors")
    if config.action == "remove":
        given = flow.given("splits", "activations", "label_errors")
        flow.add("without_suspects", "without_suspects", WithoutSuspectsConfig(most=config.most), given)
        flow.at |= {name: From("without_suspects", name) for name in ("splits", "activations")}


def _baselines(recipe: Recipe, flow: Flow) -> None:
    needed = ("splits", "activations") if _baselines_need_features(recipe) else ("splits",)
    flow.add("baselines", "baselines", recipe.for_baselines(), flow.given(*needed))
    flow.at["baselines"] = From("baselines", "baselines")
    if recipe.champion is not None:
        held = find_champion(flow.store, recipe.champion.model, recipe.task).answering
        flow.add("champion", "champion", recipe.for_baselines(), flow.given("baselines", "splits"), held=held)
        flow.at["baselines"] = From("champion", "baselines")


def _adapt(recipe: Recipe, flow: Flow) -> None:
    """Phases that pre-train the encoder on. Baselines, ranking and wrong labels have read the base as it came; from
    here on the adapted one is the base (decision 13)."""
    if not recipe.adapt_phases:
        return
    splits, group_by = From("prepare", "splits"), recipe.data.split.group_by
    texts: dict[str, From] = {}
    for name, source in flow.datasets.items():
        if name not in recipe.text_sources:
            step = flow.add(
                f"texts:{name}", "texts", LabelledTextsConfig(source=name, group_by=group_by), {"splits": splits}
            )
            source = From(step, "dataset")
        texts[name] = source
    prepared = flow.add("prepare:texts", "prepare", recipe.for_texts(), texts)
    # The tokenizer stays as it is, so every phase's tokens are known before the first one is trained.
    given = {"splits": From(prepared, "splits"), "base": flow.at["base"]}
    for number, (tokens, train) in enumerate(zip(recipe.for_tokens(), recipe.for_adapt(), strict=True), 1):
        read = flow.add(f"tokens:{number}", "tokens", tokens, given)
        step = flow.add(f"adapt:{number}", "adapt", train, flow.given("base") | {"tokens": From(read, "tokens")})
        flow.at["base"] = From(step, "base")
    if "activations" in _needs(recipe):
        step = flow.add("features:adapted", "features", recipe.for_features(), flow.given("base", "splits"))
        flow.at["activations"] = From(step, "activations")


def _layers(recipe: Recipe, flow: Flow) -> None:
    train = next((one for one in recipe.phases() if "layers" in one.trainable.needs), None)
    if train is not None:
        step = flow.add("layers", "layers", train.layers(), flow.given("base", "splits"))
        flow.at["layers"] = From(step, "activations")


def _tune(recipe: Recipe, flow: Flow) -> None:
    config = recipe.for_tune()
    if config is not None:
        step = flow.add("tune", "tune", config, flow.given("base", "splits", *_needs(recipe)))
        flow.at["settings"] = From(step, "settings")


def _train(recipe: Recipe, flow: Flow) -> None:
    given = flow.given("base", "splits", *_needs(recipe))
    # Settings that tuning found stand in for the recipe's own.
    given |= {name: one for name, one in flow.at.items() if name == "settings"}
    held = {}
    if recipe.champion is not None and recipe.champion.from_weights:
        held["parent"] = find_champion(flow.store, recipe.champion.model, recipe.task).model
    step = flow.add("train", "train", recipe.for_train(), given, held=held)
    flow.at |= {"model": From(step, "model"), "history": From(step, "history")}


def _augment(recipe: Recipe, flow: Flow) -> None:
    """Train again with more rows, and keep that model only if the validation rows show a gain."""
    config = recipe.data.augment
    if config is None:
        return
    plain = dict(flow.at)
    files = [Path(one.path) for one in config.methods if hasattr(one, "path")]
    flow.add(
        "augment", "augment", config, flow.given("splits"), "".join(map(digests.of_file, filter(Path.is_file, files)))
    )
    flow.at["splits"] = From("augment", "splits")
    flow.variant = ":augmented"
    if "activations" in _needs(recipe):
        _features(recipe, flow)
    _layers(recipe, flow)
    _train(recipe, flow)
    flow.variant = ""
    augmented = flow.at
    given = {
        "plain": plain["model"],
        "plain_history": plain["history"],
        "augmented": augmented["model"],
        "augmented_history": augmented["history"],
        "base": plain["base"],
        "splits": augmented["splits"],
    }
    flow.add("keep", "keep", recipe.for_keep(), given)
    # What proves the model, and what its baselines learned from, are the rows as they came.
    flow.at = plain | {name: From("keep", name) for name in ("model", "history", "augmentation")}


def _measures(recipe: Recipe, flow: Flow) -> None:
    """What the evaluation takes from steps of their own: answers to perturbed texts, and times, which no other has."""
    robustness, cost = recipe.for_robustness(), recipe.for_cost()
    if robustness is not None:
        flow.add("robustness", "robustness", robustness, flow.given("model", "base", "splits"))
        flow.at["robustness"] = From("robustness", "robustness")
    if cost is not None:
        flow.add("cost", "cost", cost, flow.given("model", "base", "splits"), machine.fingerprint())
        flow.at["cost"] = From("cost", "cost")


def _evaluate(recipe: Recipe, flow: Flow) -> None:
    measured = [name for name in ("robustness", "cost") if name in flow.at]
    flow.add(
        "evaluate", "evaluate", recipe.for_evaluate(), flow.given("model", "base", "splits", "baselines", *measured)
    )
    flow.at["report"] = From("evaluate", "report")


def _explain(recipe: Recipe, flow: Flow) -> None:
    config = recipe.for_explain()
    if config is None:
        return
    if "ig" in config.explain.methods and importlib.util.find_spec("captum") is None:
        raise RecipeError(
            "`explain` by integrated gradients needs Captum, which is not installed",
            seen=f"explain.methods: {', '.join(config.explain.methods)}",
            next=f"{INSTALL}, or `explain: {{methods: [occlusion]}}`",
        )
    more = [name for name in ("activations",) if name in flow.at and recipe.head_phase.trainable.kind == "head"]
    flow.add("vectors", "vectors", VectorsConfig(), flow.given("model", "base", "splits", *more))
    flow.at["vectors"] = From("vectors", "vectors")
    flow.add("explain", "explain", config, flow.given("model", "base", "splits", "vectors"))
    flow.at["explanation"] = From("explain", "explanation")


def _needs(recipe: Recipe) -> tuple[str, ...]:
    """What training reads besides base and splits, whatever kind tuning may choose."""
    return tuple(dict.fromkeys(name for one in recipe.phases() for name in one.trainable.needs))


def _baselines_need_features(recipe: Recipe) -> bool:
    names = recipe.for_baselines().names
    return any(wiring.load(wiring.wire("baseline", name).make).needs_features for name in names)
