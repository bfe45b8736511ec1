"""The steps of a recipe that a language model answers."""

from __future__ import annotations

from tunesmith.data.config import IngestConfig
from tunesmith.lifecycle.base_step import add_base
from tunesmith.lifecycle.flow import Flow, ingest, privacy, read
from tunesmith.lifecycle.steps import From
from tunesmith.recipe.language import LanguageRecipe


def add_language_parts(recipe: LanguageRecipe, flow: Flow) -> None:
    """Add every step in its order."""
    ingest(recipe, flow, required=())
    privacy(recipe, flow)
    for part in (_format, _prepare, _base, _phases, _evaluate):
        part(recipe, flow)


def _format(recipe: LanguageRecipe, flow: Flow) -> None:
    """Rows become conversations before anything compares or divides them."""
    for name, source in flow.datasets.items():
        step = flow.add(f"format:{name}", "format", recipe.for_format(name), {"dataset": source})
        flow.datasets[name] = From(step, "dataset")


def _prepare(recipe: LanguageRecipe, flow: Flow) -> None:
    flow.add("prepare", "prepare", recipe.for_prepare(), flow.datasets | flow.tables)
    flow.at |= {"splits": From("prepare", "splits"), "quality": From("prepare", "quality")}


def _base(recipe: LanguageRecipe, flow: Flow) -> None:
    flow.at["base"] = add_base(flow, "base", recipe.model, recipe.task)


def _phases(recipe: LanguageRecipe, flow: Flow) -> None:
    """Each phase learns from rows of its own, and starts from the model of the phase before it."""
    for number, (phase, train) in enumerate(zip(recipe.train, recipe.for_train(), strict=True), 1):
        ending = f":{number}" if len(recipe.train) > 1 else ""
        tokens = flow.add(f"tokens{ending}", "tokens", recipe.for_tokens(phase), flow.given("splits", "base"))
        flow.at["tokens"] = From(tokens, "tokens")
        given = flow.given("base", "tokens") | ({"parent": flow.at["model"]} if "model" in flow.at else {})
        step = flow.add(f"train{ending}", "train_language", train, given)
        flow.at |= {"model": From(step, "model"), "history": From(step, "history")}


def _evaluate(recipe: LanguageRecipe, flow: Flow) -> None:
    given = flow.given("model", "base", "splits", "tokens")
    if (forgetting := recipe.evaluate.forgetting) is not None:
        config = IngestConfig(source=forgetting.source, required=("text",))
        given["general"] = read(flow, forgetting.source, config)
    flow.add("evaluate", "evaluate_language", recipe.for_evaluate(), given)
    flow.at["report"] = From("evaluate", "report")
