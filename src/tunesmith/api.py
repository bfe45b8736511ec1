"""The public verbs: what the command line, the server and Python users call. Loads no torch until one is called."""

from __future__ import annotations

from tunesmith.core.engine import GenerationOptions
from tunesmith.lifecycle.language_model import Generation, LanguageModel
from tunesmith.lifecycle.model import Model, Prediction
from tunesmith.lifecycle.planned import Plan
from tunesmith.lifecycle.run import RunResult
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.recipe.load import load as load_recipe
from tunesmith.recipe.recipe import Recipe
from tunesmith.verbs.answers import (
    compare,
    evaluate,
    explain,
    export,
    feedback,
    load,
    model_card,
    models,
    monitor,
    predict_file,
    reveal,
    texts_to_explain,
)
from tunesmith.verbs.control import (
    add_user,
    approve,
    audit_anchor,
    audit_entries,
    audit_verify,
    disable_user,
    erase,
    make_key,
    revoke_key,
    rollback,
    users,
    withdraw,
)
from tunesmith.verbs.example import Demo, demo, demo_home
from tunesmith.verbs.runs import doctor, init, plan, resume, retrain, run, show_rows, suggest, train

__all__ = [
    "Demo",
    "Generation",
    "GenerationOptions",
    "LanguageModel",
    "Model",
    "Plan",
    "Prediction",
    "Recipe",
    "RunResult",
    "Session",
    "add_user",
    "approve",
    "audit_anchor",
    "audit_entries",
    "audit_verify",
    "compare",
    "demo",
    "demo_home",
    "disable_user",
    "doctor",
    "erase",
    "evaluate",
    "explain",
    "export",
    "feedback",
    "init",
    "load",
    "load_recipe",
    "make_key",
    "model_card",
    "models",
    "monitor",
    "open_session",
    "plan",
    "predict_file",
    "resume",
    "retrain",
    "reveal",
    "revoke_key",
    "rollback",
    "run",
    "show_rows",
    "suggest",
    "texts_to_explain",
    "train",
    "users",
    "withdraw",
]
