"""The public verbs: what the command line, the server and Python users call. Loads no torch until one is called."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.core.engine import GenerationOptions
from tunesmith.core.errors import RecipeError
from tunesmith.core.events import Listener
from tunesmith.core.tasks import HEAD_TASKS
from tunesmith.explanation.config import Method
from tunesmith.governance.access import VERBS, require
from tunesmith.lifecycle import model as models_of
from tunesmith.lifecycle.language_model import Generation, LanguageModel
from tunesmith.lifecycle.model import Model, Prediction
from tunesmith.lifecycle.plan import make_plan
from tunesmith.lifecycle.planned import Plan
from tunesmith.lifecycle.run import RunResult, Until, resume_run, start_run
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.recipe.load import load as load_recipe
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.store.workspace import DEFAULT_FOLDER, HOME_VARIABLE

if TYPE_CHECKING:
    from datetime import datetime

    from tunesmith.core.actor import Role
    from tunesmith.lifecycle.approve import Decided, RolledBack
    from tunesmith.lifecycle.compare import ModelComparison
    from tunesmith.lifecycle.doctor import Check
    from tunesmith.lifecycle.explain import Explained
    from tunesmith.lifecycle.export import Exported, Format
    from tunesmith.lifecycle.measure import Measurement
    from tunesmith.lifecycle.model_card import ModelCard
    from tunesmith.lifecycle.monitor import Monitored
    from tunesmith.lifecycle.predict_file import FileAnswers
    from tunesmith.lifecycle.reports import ReleasedModel
    from tunesmith.lifecycle.retrain import Retrained
    from tunesmith.lifecycle.shown_rows import ShownRows
    from tunesmith.lifecycle.starter import Started
    from tunesmith.lifecycle.suggest import Suggestion
    from tunesmith.store.access import Key, NewKey, User
    from tunesmith.store.audit import Entry
    from tunesmith.store.verify_audit import Verified
    from tunesmith.store.withdrawals import Withdrawal

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

DEMO_FOLDER = "tunesmith-demo"
DEMO_MESSAGES = (
    "The courier says delivered but there is nothing on my porch, can you see where it went?",
    "My card was declined twice at checkout although there is money on it",
    "We love the tent and would like to keep it until Sunday, what would that cost?",
)

RecipeLike = str | Path | Mapping[str, Any]


@contextmanager
def _open(
    verb: str,
    home: Path | str | None,
    project: str,
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Session]:
    """A session of somebody who may do what the verb does.

    Raises: Denied where their role has no right to it.
    """
    with open_session(home, project, listener, cancel) as session:
        require(session.actor, VERBS[verb])
        yield session


def plan(
    recipe: RecipeLike,
    overrides: Sequence[str] = (),
    *,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Plan:
    """The plan of a recipe: its data as it is, the rest as a forecast."""
    loaded = load_recipe(recipe, overrides)
    with _open("plan", home, project, listener, cancel) as session:
        return plan_in(session, loaded)


def plan_in(session: Session, recipe: AnyRecipe) -> Plan:
    """The plan of a loaded recipe, in an open session."""
    return make_plan(recipe, _runner(session, recipe))


def _runner(session: Session, recipe: AnyRecipe) -> Runner:
    return Runner(
        session.workspace,
        session.ledger,
        seed=recipe.seed,
        listener=session.listener,
        is_cancelled=session.cancel.is_set,
    )


def show_rows(
    recipe: RecipeLike,
    overrides: Sequence[str] = (),
    *,
    split: str = "train",
    first: int = 0,
    number: int = 3,
    phase: int | None = None,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> ShownRows:
    """Rows as a language model reads them, with what of them is trained."""
    from tunesmith.lifecycle.shown_rows import show_rows as shown

    loaded = load_recipe(recipe, overrides)
    with _open("show_rows", home, project, listener, cancel) as session:
        return shown(loaded, _runner(session, loaded), split=split, first=first, number=number, phase=phase)


def run(
    recipe: RecipeLike,
    overrides: Sequence[str] = (),
    *,
    until: Until = "release",
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> RunResult:
    """Run a recipe to the release decision and return how it ended."""
    loaded = load_recipe(recipe, overrides)
    with _open("run", home, project, listener, cancel) as session:
        return start_run(session, loaded, until)


def resume(
    run_id: str,
    *,
    until: Until = "release",
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> RunResult:
    """Go on with a run that was stopped."""
    with _open("resume", home, project, listener, cancel) as session:
        return resume_run(session, run_id, until)


def retrain(
    reference: str,
    overrides: Sequence[str] = (),
    *,
    add: Sequence[Path | str] = (),
    on: Literal["drift", "labels"] | None = None,
    until: Until = "release",
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Retrained:
    """Train a model in production again and judge the new one against it; ``on``: only where drift or labels call."""
    from tunesmith.lifecycle.retrain import retrain as again

    with _open("retrain", home, project, listener, cancel) as session:
        return again(session, reference, add=[Path(one) for one in add], overrides=overrides, on=on, until=until)


def withdraw(
    source: str,
    purpose: str = "",
    *,
    is_permitted: bool = False,
    home: Path | str | None = None,
    project: str = "default",
) -> list[Withdrawal]:
    """Let no run use the rows of a source, for a purpose or any; ``is_permitted`` takes that back. All that stand."""
    from tunesmith.lifecycle.permission import withdraw as put_down

    with _open("withdraw", home, project) as session:
        return put_down(session, source, purpose, is_permitted=is_permitted)


def load(reference: str, *, home: Path | str | None = None, project: str = "default") -> Model | LanguageModel:
    """The model of ``name@alias``, ``name@version``, ``name`` or ``run:ID``, ready to ``predict``; a language model,
    to ``generate``."""
    with _open("load", home, project) as session:
        return models_of.open_model(session, reference)


def train(recipe: RecipeLike, overrides: Sequence[str] = (), **where: Any) -> RunResult:
    """Run a recipe to its evaluation, and release nothing."""
    return run(recipe, overrides, until="evaluate", **where)


def models(*, home: Path | str | None = None, project: str = "default") -> list[ReleasedModel]:
    """Every released model version, with its aliases and its main figure."""
    from tunesmith.lifecycle.reports import released

    with _open("models", home, project) as session:
        return released(session)


def model_card(reference: str, *, home: Path | str | None = None, project: str = "default") -> ModelCard:
    """What is known of a model: data, base, scores with intervals, verdict, lineage, size."""
    from tunesmith.lifecycle import model_card as cards

    with _open("model_card", home, project) as session:
        return cards.model_card(session, reference)


def suggest(
    path: Path | str,
    task: str | None = None,
    *,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> list[Suggestion]:
    """The catalogue's encoders with forecasts for the rows of a recipe or table. Trains nothing."""
    from tunesmith.lifecycle.suggest import recipe_of, suggestions

    recipe = load_recipe(recipe_of(Path(path), task))
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            "encoders are suggested for tasks that a head answers",
            seen=f"task: {recipe.task}",
            allowed=", ".join(HEAD_TASKS),
        )
    with _open("suggest", home, project, listener, cancel) as session:
        return suggestions(recipe, plan_in(session, recipe))


def predict_file(
    reference: str,
    path: Path | str,
    out: Path | str,
    *,
    text_column: str | None = None,
    is_all: bool = False,
    options: GenerationOptions | None = None,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> FileAnswers:
    """Write a file's rows, in their order and as they are, with a model's answers beside them.

    ``options`` say how a language model writes.
    """
    from tunesmith.lifecycle.asked_rows import DETECTED
    from tunesmith.lifecycle.predict_file import check_output
    from tunesmith.lifecycle.predict_file import predict_file as answer
    from tunesmith.lifecycle.reports import asked_columns, learned_format, trained_columns

    check_output(Path(path), Path(out))
    with _open("predict_file", home, project, listener, cancel) as session:
        model = models_of.open_model(session, reference)
        is_language = isinstance(model, LanguageModel)
        return answer(
            session,
            model,
            Path(path),
            Path(out),
            text_column=text_column,
            trained_on=asked_columns(session, reference)
            if is_language
            else trained_columns(session, reference, "text"),
            learned_as=learned_format(session, reference) if is_language else DETECTED,
            is_all=is_all,
            options=options,
        )


def export(
    reference: str,
    out: Path | str,
    format: Format = "merged",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    *,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Exported:
    """Write a language model as a Hugging Face folder, or its adapter as PEFT's, once it answers as its source does.

    ``dtype`` is that of a merged model's weights; ``auto``: the one its base is kept in.
    """
    from tunesmith.lifecycle.export import export as written

    with _open("export", home, project, listener, cancel) as session:
        return written(session, reference, Path(out), format, dtype)


def evaluate(
    reference: str,
    path: Path | str,
    label_column: str | None = None,
    *,
    text_column: str | None = None,
    confidence: float = 0.95,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Measurement:
    """Measure a model on a labelled file."""
    from tunesmith.lifecycle.measure import measure
    from tunesmith.lifecycle.measure_written import measure_written
    from tunesmith.lifecycle.reports import learned_format, learned_texts, trained_columns

    with _open("evaluate", home, project, listener, cancel) as session:
        opened = models_of.open_model(session, reference)
        if isinstance(opened, LanguageModel):
            asked = learned_format(session, reference, question=text_column, answer=label_column)
            learned = learned_texts(session, reference)
            return measure_written(session, opened, Path(path), asked, learned=learned, confidence=confidence)
        return measure(
            session,
            opened,
            Path(path),
            label_column,
            text_column=text_column,
            trained_on=trained_columns(session, reference, "text"),
            labels_were=trained_columns(session, reference, "label"),
            learned=learned_texts(session, reference),
            confidence=confidence,
        )


def explain(
    reference: str,
    texts: Sequence[str],
    method: Method = "ig",
    *,
    label: str | None = None,
    neighbours: int = 0,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> list[Explained]:
    """Each text with its answer, the words that speak for it or against it, and the training rows nearest to it."""
    from tunesmith.lifecycle.explain import explain as explained

    with _open("explain", home, project, listener, cancel) as session:
        return explained(session, reference, texts, method, label=label, neighbours=neighbours)


def texts_to_explain(
    reference: str,
    path: Path | str,
    text_column: str | None = None,
    *,
    home: Path | str | None = None,
    project: str = "default",
) -> tuple[list[str], int]:
    """The first texts of a file, from the column a model was trained on, and how many records are left out."""
    from tunesmith.lifecycle.explain import texts_of
    from tunesmith.lifecycle.reports import trained_columns

    with _open("texts_to_explain", home, project) as session:
        models_of.find_model(session, reference)
        return texts_of(Path(path), text_column, trained_columns(session, reference, "text"))


def reveal(texts: Sequence[str], *, home: Path | str | None = None, project: str = "default") -> list[str]:
    """The texts with pseudonyms led back to the values they stand for; needs the workspace's key, unknown ones stay."""
    from tunesmith.lifecycle.pseudonyms import reveal as lead_back

    with _open("reveal", home, project) as session:
        return lead_back(session, texts)


def compare(
    a: str, b: str, *, confidence: float = 0.95, home: Path | str | None = None, project: str = "default"
) -> ModelComparison:
    """Compare two models on the test rows they share; a verdict is of the first."""
    from tunesmith.lifecycle.compare import compare as paired

    with _open("compare", home, project) as session:
        return paired(session, a, b, confidence=confidence)


def monitor(
    reference: str,
    *,
    since: str | None = None,
    file: Path | str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Monitored:
    """Check what a released model was asked and answered, or the texts of a file, against what it was made with."""
    from tunesmith.lifecycle.monitor import monitor as check

    with _open("monitor", home, project, listener, cancel) as session:
        path = None if file is None else Path(file)
        return check(session, reference, since=since, file=path, text_column=text_column, label_column=label_column)


def feedback(prediction: str, truth: Any, *, home: Path | str | None = None, project: str = "default") -> int:
    """Keep the true answer to a captured prediction, and return how many words on it there are; the latest counts."""
    from tunesmith.lifecycle.capture import feedback as keep

    with _open("feedback", home, project) as session:
        return keep(session, prediction, truth)


def approve(
    run: str, reason: str, *, is_refused: bool = False, home: Path | str | None = None, project: str = "default"
) -> Decided:
    """Release what a run made though its gate said no or its recipe waits for a person, or refuse it."""
    from tunesmith.lifecycle.approve import approve as decide

    with _open("approve", home, project) as session:
        return decide(session, run, reason, is_refused=is_refused)


def rollback(reference: str, reason: str, *, home: Path | str | None = None, project: str = "default") -> RolledBack:
    """Move ``name@alias`` back to the version it stood on before."""
    from tunesmith.lifecycle.approve import rollback as move_back

    with _open("rollback", home, project) as session:
        return move_back(session, reference, reason)


def users(*, home: Path | str | None = None, project: str = "default") -> list[User]:
    """Every user of the project with what is known of its keys."""
    from tunesmith.store import access

    with _open("users", home, project) as session:
        return access.users(session.ledger.engine, session.ledger.project)


def add_user(name: str, role: Role, *, home: Path | str | None = None, project: str = "default") -> User:
    """A new user of the project."""
    from tunesmith.store import access

    with _open("add_user", home, project) as session:
        return access.add_user(session.ledger.engine, session.ledger.project, session.actor, name, role)


def disable_user(name: str, *, home: Path | str | None = None, project: str = "default") -> User:
    """Take a user's rights and revoke its keys."""
    from tunesmith.store import access

    with _open("disable_user", home, project) as session:
        return access.disable_user(session.ledger.engine, session.ledger.project, session.actor, name)


def make_key(
    user: str, expires: datetime | None = None, *, home: Path | str | None = None, project: str = "default"
) -> NewKey:
    """A new key of a user: this is the only time that it is told."""
    from tunesmith.store import access

    with _open("make_key", home, project) as session:
        return access.make_key(session.ledger.engine, session.ledger.project, session.actor, user, expires)


def revoke_key(key_id: str, *, home: Path | str | None = None, project: str = "default") -> Key:
    """Let a key count no more."""
    from tunesmith.store import access

    with _open("revoke_key", home, project) as session:
        return access.revoke_key(session.ledger.engine, session.ledger.project, session.actor, key_id)


def audit_entries(
    *,
    last: int | None = None,
    target: str | None = None,
    action: str | None = None,
    home: Path | str | None = None,
    project: str = "default",
) -> list[Entry]:
    """Who did what, the oldest first: the last so many, of one target, of one action."""
    from tunesmith.store import audit

    with _open("audit_entries", home, project) as session:
        return audit.entries(session.ledger.engine, session.ledger.project, last=last, target=target, action=action)


def audit_verify(*, home: Path | str | None = None, project: str = "default") -> Verified:
    """Whether the audit chain is as it was written, and every place where it is not."""
    from tunesmith.store.verify_audit import verify

    with _open("audit_verify", home, project) as session:
        return verify(session.ledger.engine, session.ledger.project)


def audit_anchor(reason: str, *, home: Path | str | None = None, project: str = "default") -> Entry:
    """Anchor the chain as it stands now, after a backup was brought back or a second place was named; audited."""
    from tunesmith.lifecycle.approve import anchor_again

    with _open("audit_anchor", home, project) as session:
        return anchor_again(session, reason)


def doctor(*, home: Path | str | None = None, is_deep: bool = False) -> list[Check]:
    """What this machine has and lacks; ``is_deep`` also loads torch and runs the embedded model."""
    from tunesmith.lifecycle.doctor import examine

    return examine(home, is_deep=is_deep)


def init(folder: Path | str = ".", data: Path | str | None = None) -> Started:
    """Write a commented recipe that runs; an existing one is never replaced."""
    from tunesmith.lifecycle.starter import init as start

    return start(Path(folder), None if data is None else Path(data))


@dataclass(frozen=True)
class Demo:
    """What the demo did."""

    recipe: str
    home: str
    run: RunResult
    predictions: list[dict[str, Any]]
    """Three fresh messages with their answers."""

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self)


def demo_home(folder: Path | str = DEMO_FOLDER, home: Path | str | None = None) -> Path:
    """The demo's workspace: as named, else ``TUNESMITH_HOME``, else in the demo's folder."""
    return Path(home or os.environ.get(HOME_VARIABLE) or Path(folder) / DEFAULT_FOLDER)


def demo(
    folder: Path | str = DEMO_FOLDER,
    *,
    on_plan: Callable[[Plan], None] | None = None,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Demo:
    """Run the example that comes with tunesmith: plan, run, and three predictions. Done steps are not done again.

    Its workspace is ``demo_home``.
    """
    from tunesmith.lifecycle.starter import copy_example

    recipe = load_recipe(copy_example(Path(folder)))
    chosen = demo_home(folder, home)
    with _open("demo", chosen, project, listener, cancel) as session:
        planned = plan_in(session, recipe)
        if on_plan is not None:
            on_plan(planned)
        result = start_run(session, recipe)
        model = models_of.open_head(session, result.model or f"run:{result.run}")
        answers = model.predict(DEMO_MESSAGES)
    predictions = [{"text": text, **asdict(one)} for text, one in zip(DEMO_MESSAGES, answers, strict=True)]
    return Demo(str(Path(folder) / "recipe.yaml"), str(chosen), result, predictions)
