"""From a recipe to the steps of its run: each part adds its steps and says where the parts after it read."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.core import digests, machine, wiring
from tunesmith.core.artifact import Artifact
from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.core.source import IncrementalSource
from tunesmith.data.config import IngestConfig
from tunesmith.data.labels.config import WithoutSuspectsConfig
from tunesmith.lifecycle.steps import From, StepSpec
from tunesmith.recipe.recipe import Recipe
from tunesmith.selection.catalogue import candidates
from tunesmith.selection.config import AUTO, BaseConfig
from tunesmith.selection.locate import locate


def flow_of(recipe: Recipe) -> Flow:
    """The steps of a run in their order; reads the fingerprints of sources and of the base model."""
    flow = Flow()
    parts = (
        _ingest,
        _privacy,
        _prepare,
        _base,
        _features,
        _label_errors,
        _baselines,
        _layers,
        _tune,
        _train,
        _augment,
        _measures,
        _evaluate,
    )
    for part in parts:
        part(recipe, flow)
    return flow


class Flow:
    """The steps so far, and where the newest datasets, splits, base and so on come from.

    A part that changes what later parts read (cleaned splits, a chosen base) points the name at its own output.
    """

    def __init__(self) -> None:
        self.specs: list[StepSpec] = []
        self.datasets: dict[str, From] = {}
        """By source, in the recipe's order."""
        self.tables: dict[str, From] = {}
        """Joined tables by name."""
        self.variant = ""
        """Ends the names of steps that are run a second time, on other rows."""
        self.at: dict[str, From] = {}
        """``splits``, ``base``, ``activations``, ``baselines``, ``model`` …: the output that later steps read; in the
        end, what the run made."""

    def add(
        self,
        name: str,
        kind: str,
        config: Config,
        given: Mapping[str, From] | None = None,
        fingerprint: str = "",
        pulls: str = "",
    ) -> str:
        """Append a step and return its name."""
        self.specs.append(StepSpec(name + self.variant, kind, config, given or {}, fingerprint, pulls))
        return name + self.variant

    def given(self, *names: str) -> dict[str, From]:
        """The current outputs of these names."""
        return {name: self.at[name] for name in names}

    def made(self, results: Mapping[str, Mapping[str, Artifact]]) -> dict[str, Artifact]:
        """What a finished run made, by the names of ``at``."""
        return {name: results[one.step][one.output] for name, one in self.at.items()}


def _ingest(recipe: Recipe, flow: Flow) -> None:
    source: Any
    for source in recipe.data.sources:
        config = IngestConfig(source=source, required=() if "text" in recipe.data.derive else ("text",))
        flow.datasets[source.name] = _read(flow, source, config)
    for join in recipe.data.joins:
        table: Any = join.table
        flow.tables[table.name] = _read(flow, table, IngestConfig(source=table, required=()))


def _read(flow: Flow, source: Any, config: IngestConfig) -> From:
    """The dataset of a source: read whole, or from where the last pull ended where a cursor tells what is new."""
    opened: Any = wiring.load(wiring.wire("source", source.kind).make)(source)
    pulls = opened.cursor_identity() if isinstance(opened, IncrementalSource) else None
    kind = "ingest" if pulls is None else "pull"
    step = flow.add(f"ingest:{source.name}", kind, config, fingerprint=opened.fingerprint(), pulls=pulls or "")
    return From(step, "dataset")


def _privacy(recipe: Recipe, flow: Flow) -> None:
    """Personal data is found, and treated, before any other step reads the rows."""
    tables: list[Any] = [join.table for join in recipe.data.joins]
    for source in (*recipe.data.sources, *tables):
        config = recipe.for_privacy(source.name, source.columns)
        if config is None:
            return
        where = flow.tables if source.name in flow.tables else flow.datasets
        kind = "privacy" if config.privacy.changes_rows else "pii_scan"
        step = flow.add(f"privacy:{source.name}", kind, config, {"dataset": where[source.name]})
        if config.privacy.changes_rows:
            where[source.name] = From(step, "dataset")


def _prepare(recipe: Recipe, flow: Flow) -> None:
    flow.add("prepare", "prepare", recipe.for_prepare(), flow.datasets | flow.tables)
    flow.at |= {"splits": From("prepare", "splits"), "quality": From("prepare", "quality")}


def _base(recipe: Recipe, flow: Flow) -> None:
    if isinstance(recipe.model, str) and recipe.model != AUTO:
        flow.add("base", "base", BaseConfig(model=recipe.model), fingerprint=locate(recipe.model).fingerprint())
        flow.at["base"] = From("base", "base")
        return
    models, absent = candidates(recipe.model)
    given = flow.given("splits")
    for number, name in enumerate(models, 1):
        base, features = f"base:{number}", f"features:{number}"
        flow.add(base, "base", BaseConfig(model=name), fingerprint=locate(name).fingerprint())
        given[base] = From(base, "base")
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
    step = flow.add("train", "train", recipe.for_train(), given)
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


def _needs(recipe: Recipe) -> tuple[str, ...]:
    """What training reads besides base and splits, whatever kind tuning may choose."""
    return tuple(dict.fromkeys(name for one in recipe.phases() for name in one.trainable.needs))


def _baselines_need_features(recipe: Recipe) -> bool:
    return any(wiring.load(wiring.wire("baseline", name).make).needs_features for name in recipe.baselines)
