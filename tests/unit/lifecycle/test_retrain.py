"""Training a model in production again: which one, why, from which rows, and who may not be used any more."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.data.test_extend import prepared, rows

from tunesmith.core.artifact import MadeBy
from tunesmith.core.errors import DataError, Denied, RecipeError, StoreError
from tunesmith.core.subject import subject_hash
from tunesmith.data.ingest import HASHED, Lineage
from tunesmith.evaluation.config import GateRule
from tunesmith.lifecycle import permission, retrain
from tunesmith.lifecycle.base_step import held_fast
from tunesmith.lifecycle.capture import capture_of
from tunesmith.lifecycle.champion import note_champion
from tunesmith.lifecycle.feedback import feedback
from tunesmith.lifecycle.feedback_rows import row_of
from tunesmith.lifecycle.flows import flow_of
from tunesmith.lifecycle.model import Prediction
from tunesmith.lifecycle.monitor import Monitored
from tunesmith.lifecycle.plan import make_plan
from tunesmith.lifecycle.recorded import digest_of, record
from tunesmith.lifecycle.run import resume_run, start_run
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.recipe.load import load
from tunesmith.recipe.recipe import Recipe
from tunesmith.store import audit, erasures, retrainings, withdrawals
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.verify_audit import verify

SCALES = {"joy": {"mean": 0.0, "std": 1.0}, "anger": {"mean": 0.0, "std": 1.0}}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with open_session(tmp_path / "home") as opened:
        yield opened


def recipe(folder: Path, task: str = "classify", **more: Any) -> Recipe:
    """A recipe of two sources, the second for marketing only."""
    columns: dict[str, Any] = {"text": "words", "label": "intent"}
    if task == "regress":
        columns["label"] = ["joy", "anger"]
    sources = []
    for name in ("desk", "letters"):
        (folder / f"{name}.csv").write_text(
            "words,intent,joy,anger,who\nwhere is it,card,1,2,ana\nback please,fee,3,4,ben\n"
        )
        one = {"kind": "csv", "name": name, "path": str(folder / f"{name}.csv"), "columns": columns}
        sources.append({**one, "purpose": "marketing" if name == "letters" else "support"})
    sources[0]["columns"] = {**columns, "subject": "who"}
    loaded = load({"name": "m", "task": task, "data": {"sources": sources}, **more})
    assert isinstance(loaded, Recipe)
    return loaded


def released(session: Session, folder: Path, made: Recipe, alias: str = "production", **facts: Any) -> int:
    """A version with its rows, as a run leaves them."""
    store = ArtifactStore(session.workspace, session.ledger)
    number = len(session.ledger.models()) + 1
    out = folder / f"out-{number}"
    columns = {"desk": rows(20), "letters": rows(10, 60), "added-1": rows(5, 90)}
    splits = prepared(folder / f"prepared-{number}", columns)
    shutil.copytree(splits.path, out / "rows" / "splits")
    by, made_splits = MadeBy(f"k{number}", "train", 0), {"splits": ("splits", dict(splits.facts))}
    saved = store.save_step(f"s{number}", f"cs{number}", "prepare", out / "rows", made_splits, by, ())["splits"]
    told = {"task": made.task, "labels": ["card", "fee"], "base": {"name": "b", "digest": "ab" * 32}, **facts}
    (out / "trained" / "model").mkdir(parents=True)
    (out / "trained" / "model" / "model.json").write_text(json.dumps(told | {"number": number}))
    outputs = {"model": ("model", told)}
    of = store.save_step(f"m{number}", f"cm{number}", "train", out / "trained", outputs, by, (saved.digest,))
    model = of["model"]
    run = f"run-{number}"
    record(made, session.workspace.run_folder(run))
    session.ledger.start_run(run, "m", made.task, digest_of(made))
    session.ledger.end_run(run, "done", verdict="better", model_digest=model.digest)
    version = session.ledger.register_version("m", model.digest, run, "better")
    session.ledger.set_alias("m", alias, version)
    return version


class Started:
    """In place of a run: keeps the recipe that would be run."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.recipes: list[tuple[Recipe, str]] = []
        patch.setattr(retrain, "start_run", self)

    def __call__(self, session: Session, made: Recipe, until: str, cause: str) -> None:
        self.recipes.append((made, cause))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    return Started(monkeypatch)


def sources(made: Recipe) -> dict[str, Any]:
    return {one.name: one for one in made.data.sources}


def more_rows(folder: Path, header: str = "words,intent") -> Path:
    path = folder / "later.csv"
    path.write_text(f"{header}\nnew words here,limit\nand some more,card\n")
    return path


def test_the_challengers_recipe(session: Session, tmp_path: Path, started: Started) -> None:
    made = recipe(tmp_path, train={"trainable": "head", "epochs": 3})
    released(session, tmp_path, made)
    retrain.retrain(session, "m", add=[more_rows(tmp_path)], overrides=["train.epochs=2"])
    ((child, cause),) = started.recipes
    assert cause == "by hand" and child.champion is not None and child.champion.model == "m@1"
    # The champion's rows hold an `added-1`: one name never means two files.
    assert list(sources(child)) == ["desk", "letters", "added-2"]
    added = sources(child)["added-2"]
    assert dict(added.columns) == {"text": "words", "label": "intent"} and added.purpose == "support"
    assert child.head_phase.trainable.kind == "head" and child.head_phase.epochs == 2
    assert child.baselines[-1] == "champion" and child.serve.alias == "production"
    gate = child.for_evaluate().gate
    assert gate is not None and gate["forgetting"].at_most == 0.02 and "champion" in gate["f1_macro"].better_than


def test_the_challengers_steps(session: Session, tmp_path: Path, started: Started) -> None:
    """The champion stands beside the baselines that a recipe names; it is a step of its own, none of theirs."""
    released(session, tmp_path, recipe(tmp_path, evaluate={"baselines": ["majority"]}))
    retrain.retrain(session, "m", add=[more_rows(tmp_path)])
    ((child, _),) = started.recipes
    store = ArtifactStore(session.workspace, session.ledger)
    specs = {spec.name: spec for spec in flow_of(child, store).specs}
    model = session.ledger.resolve("m", "1").digest
    assert specs["train"].held["parent"] == specs["champion"].held["model"] == model
    assert specs["base"].kind == "registered" and specs["extend"].held["before"]
    assert specs["baselines"].config.names == ["majority"]  # type: ignore[attr-defined]


def test_which_model_is_meant(session: Session, tmp_path: Path, started: Started) -> None:
    for alias in ("staging", "production", "canary"):
        released(session, tmp_path, recipe(tmp_path), alias)
    add = [more_rows(tmp_path)]
    for reference, model, alias in (
        ("m", "m@2", "production"),
        ("m@staging", "m@1", "staging"),
        ("m@3", "m@3", "production"),
    ):
        assert retrain.retrain(session, reference, add=add).champion == model
        child, _ = started.recipes.pop()
        assert child.champion is not None and (child.champion.model, child.serve.alias) == (model, alias)
    session.ledger.set_alias("m", "staging", 3)
    with pytest.raises(StoreError, match="no model `n`"):
        retrain.retrain(session, "n")
    with pytest.raises(StoreError, match="nowhere"):
        retrain.retrain(session, "m@nowhere")


def test_a_single_alias_is_meant_by_the_bare_name(session: Session, tmp_path: Path, started: Started) -> None:
    released(session, tmp_path, recipe(tmp_path), "live")
    assert retrain.retrain(session, "m", add=[more_rows(tmp_path)]).champion == "m@1"
    assert started.recipes[0][0].serve.alias == "live"


def test_files_that_do_not_fit_are_refused(session: Session, tmp_path: Path, started: Started) -> None:
    released(session, tmp_path, recipe(tmp_path))
    with pytest.raises(RecipeError, match="has not the columns") as caught:
        retrain.retrain(session, "m", add=[more_rows(tmp_path, "text,label")])
    assert "words, intent" in str(caught.value.allowed) and caught.value.seen == "text, label"
    with pytest.raises(DataError, match="there is no such file") as lost:
        retrain.retrain(session, "m", add=[tmp_path / "latter.csv"])
    assert str(tmp_path / "later.csv") in str(lost.value.next)  # the nearest there is
    (tmp_path / "later.docx").write_text("")
    with pytest.raises(RecipeError, match="come from a file"):
        retrain.retrain(session, "m", add=[tmp_path / "later.docx"])
    assert started.recipes == []


def test_rows_are_added_in_every_format_that_rows_are_read_in(
    session: Session, tmp_path: Path, started: Started
) -> None:
    released(session, tmp_path, recipe(tmp_path))
    frame = pl.DataFrame({"words": ["new words here", "and some more"], "intent": ["limit", "card"]})
    frame.write_ipc(tmp_path / "later.arrow")
    frame.write_parquet(tmp_path / "rows.pq")
    (tmp_path / "later.csv.gz").write_bytes(gzip.compress(frame.write_csv().encode()))
    for name, kind in (("later.arrow", "arrow"), ("rows.pq", "parquet"), ("later.csv.gz", "csv")):
        retrain.retrain(session, "m", add=[tmp_path / name])
        assert sources(started.recipes[-1][0])["added-2"].kind == kind


def test_a_language_model_and_a_lost_recipe_are_refused(session: Session, tmp_path: Path) -> None:
    released(session, tmp_path, recipe(tmp_path))
    (tmp_path / "asked.csv").write_text("prompt,response\na,b\n")
    columns = {"prompt": "prompt", "response": "response"}
    source = {"kind": "csv", "path": str(tmp_path / "asked.csv"), "columns": columns}
    writes = load({"name": "m", "task": "generate", "model": "some/model", "data": {"sources": [source]}})
    path = session.workspace.run_folder("run-1") / "recipe.yaml"
    record(writes, path.parent)
    with pytest.raises(RecipeError, match="writes text") as caught:
        retrain.retrain(session, "m")
    assert "model: m@1" in str(caught.value.next)
    path.unlink()
    with pytest.raises(StoreError, match="is gone"):
        retrain.retrain(session, "m")


def test_labels_call_for_it_once_there_are_enough(session: Session, tmp_path: Path, started: Started) -> None:
    made = recipe(tmp_path, monitor={"feedback": {"min_rows": 20, "new_labels": True}})
    version = session.ledger.resolve("m", str(released(session, tmp_path, made)))
    seen = capture_of(session, version)
    said = Prediction("card", 0.9, None, {"card": 0.9, "fee": 0.1})
    ids = seen.record([f"words {at}" for at in range(25)], [said] * 25, 1.0, ["ana"] * 13 + ["eve"] * 12)
    seen.flush()
    for id in ids[:19]:
        feedback(session, str(id), "limit")
    few = retrain.retrain(session, "m", on="labels")
    assert few.result is None and few.why == "19 of 20 rows with a true label" and started.recipes == []
    assert few.to_dict()["run"] is None
    feedback(session, str(ids[19]), "card")
    done = retrain.retrain(session, "m", on="labels")
    assert done.feedback == 20 and done.cause == "labels"
    ((child, cause),) = started.recipes
    told = sources(child)["feedback"]
    assert cause == "labels" and told.purpose == "support"
    lines = [json.loads(line) for line in Path(told.path).read_text().splitlines()]
    lines.sort(key=lambda line: int(line["text"].removeprefix("words ")))
    assert [line["label"] for line in lines] == ["limit"] * 19 + ["card"]
    assert Path(told.path).stat().st_mode & 0o777 == 0o600
    # The same words, the same file: a second call finds the same source.
    retrain.retrain(session, "m", on="labels")
    assert sources(started.recipes[1][0])["feedback"].path == told.path

    # Once a champion has them, the same words call for nothing more: a timer would start a run that finds no new row.
    find = retrain.find_champion
    store = ArtifactStore(session.workspace, session.ledger)
    held = store.load(find(store, f"m@{version.version}", "classify").splits).path
    frame = pl.concat([pl.read_parquet(file, columns=["text", "label"]) for file in sorted(held.glob("t*.parquet"))])
    assert frame.height >= 20
    again = seen.record([text.upper() for text in frame["text"]], [said] * frame.height, 1.0)
    seen.flush()
    for id, label in zip(again, frame["label"], strict=True):
        feedback(session, str(id), label)
    quiet = retrain.retrain(session, "m", on="labels")
    assert quiet.why == "20 of 20 rows with a true label"
    assert (quiet.feedback, quiet.corrections) == (20 + frame.height, frame.height)
    # Another label for a text that the champion has is one more that it has yet to learn; two labels for one are none.
    feedback(session, str(again[0]), "limit")
    feedback(session, str(again[1]), "limit")
    (third,) = seen.record([frame["text"][1]], [said], 1.0)
    seen.flush()
    feedback(session, str(third), "fee")
    assert retrain.retrain(session, "m", on="labels").why == "21 of 20 rows with a true label"
    child, _ = started.recipes[-1]
    assert child.champion is not None and child.champion.corrections == "feedback-corrections"
    fixed = [json.loads(line) for line in Path(sources(child)["feedback-corrections"].path).read_text().splitlines()]
    assert sorted(line["text"] for line in fixed) == sorted([*frame["text"].str.to_uppercase(), frame["text"][1]])
    assert sources(child)["feedback"].path == told.path  # those of new texts are what they were
    specs = {spec.name: spec for spec in flow_of(child, store).specs}
    assert "feedback-corrections" not in specs["prepare"].given and "feedback" in specs["prepare"].given
    assert specs["extend"].given["corrections"].step.endswith(":feedback-corrections")

    # Withdrawn, they are no reason and no rows; and no run that reads them goes on.
    permission.withdraw(session, "feedback")
    assert retrain.retrain(session, "m", on="labels").to_dict()["feedback"] == 0
    assert permission.withdrawn(session.ledger, child) == ["feedback", "feedback-corrections"]
    permission.withdraw(session, "feedback", is_permitted=True)

    # Whoever wrote them is the person of the training rows: a group is not torn apart.
    key = session.workspace.subject_key()
    assert lines[0]["subject"] == f"{HASHED}{subject_hash(key, 'ana')}"
    read = Lineage(sources(child)["feedback"], {"text": "text", "label": "label", "subject": "subject"}, key)
    assert read._subject(lines[0]["subject"]) == read._subject("ana") == subject_hash(key, "ana")
    assert read._subject(lines[19]["subject"]) == read._subject(" eve ") != read._subject("ana")


def test_drift_calls_for_it(
    session: Session, tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    released(session, tmp_path, recipe(tmp_path))
    found: dict[str, Any] = {"is_alert": False, "causes": []}

    def checked(session: Session, reference: str) -> Monitored:
        assert reference == "m@1"
        empty: dict[str, Any] = dict.fromkeys(Monitored.__dataclass_fields__)
        return Monitored(**{**empty, **found})

    monkeypatch.setattr(retrain, "monitor", checked)
    quiet = retrain.retrain(session, "m", on="drift")
    assert (quiet.result, quiet.why, started.recipes) == (None, "no drift is shown", [])
    found |= {"is_alert": True, "causes": [{"words": "texts have changed"}, {"words": "scores fell"}]}
    assert retrain.retrain(session, "m", on="drift").why == "texts have changed; scores fell"
    assert [cause for _, cause in started.recipes] == ["drift"]


def erased(session: Session, version: int) -> str:
    """An erasure of somebody whose rows a version of `m` learned from."""
    ledger = session.ledger
    id = f"erasure-{len(erasures.read(ledger.engine, ledger.project))}"
    one = erasures.begin(ledger.engine, ledger.project, id, f"{id:0>32}", "request", session.actor)
    erasures.mark_stale(ledger.engine, ledger.project, one.id, [ledger.resolve("m", str(version)).digest])
    erasures.finish(ledger.engine, ledger.project, one.id, one.subject, lambda sequence: {}, session.actor)
    return one.id


def test_a_stale_champion_is_trained_anew_and_not_from_its_weights(
    session: Session, tmp_path: Path, started: Started
) -> None:
    settings = {"trainable": "head", "epochs": 3}
    made = recipe(tmp_path, train=settings, evaluate={"baselines": ["majority"]}, model="embedded")
    released(session, tmp_path, made)
    erased(session, 1)
    # No row is new, and no timer's own reason is there: the erasure is reason enough, for a timer too.
    for on in (None, "labels", "drift"):
        done = retrain.retrain(session, "m", on=on)  # type: ignore[arg-type]
        assert done.cause == "erasure" and done.why == (
            "it learned from rows of 1 person erased since: trained anew from `embedded`, not from its weights"
        )
    child, cause = started.recipes.pop()
    assert cause == "erasure" and child.champion is not None and not child.champion.from_weights
    assert child.model == "embedded" and child.head_phase.epochs == 3
    store = ArtifactStore(session.workspace, session.ledger)
    specs = {spec.name: spec for spec in flow_of(child, store).specs}
    model = session.ledger.resolve("m", "1").digest
    assert specs["base"].kind == "base" and not specs["base"].held and not specs["train"].held
    # Its rows and its answers are held as ever.
    assert specs["champion"].held["model"] == model and specs["extend"].held["before"]
    assert not specs["extend"].config.needs_new  # type: ignore[attr-defined]
    assert [name for name, spec in specs.items() if model in spec.held.values()] == ["champion"]
    # Asked to forget next to nothing; to be better than what has to go, it is not.
    gate = child.for_evaluate().gate
    assert gate == {"f1_macro": GateRule(better_than=("majority",)), "forgetting": GateRule(at_most=0.02)}


def test_a_timer_trains_anew_once_for_each_erasure(session: Session, tmp_path: Path, started: Started) -> None:
    released(session, tmp_path, recipe(tmp_path))
    first = erased(session, 1)
    retrain.retrain(session, "m", on="labels")
    child, cause = started.recipes[0]
    session.ledger.start_run("child", "m", "classify", "y")
    note_champion(session, child, "child", cause)
    session.ledger.end_run("child", "failed")
    assert retrain.retrain(session, "m", on="labels").why.endswith("not from its weights")  # it may do better now
    session.ledger.end_run("child", "denied", verdict="not shown", model_digest="ab" * 32)
    quiet = retrain.retrain(session, "m", on="labels")
    assert quiet.why == (
        "it learned from rows of 1 person erased since; the run `child` trained it anew and ended denied"
    )
    assert quiet.cause == "erasure" and len(started.recipes) == 2
    assert retrain.retrain(session, "m").why.endswith("not from its weights")  # by hand, always
    assert erased(session, 1) != first
    assert "2 people" in retrain.retrain(session, "m", on="drift").why and len(started.recipes) == 4


def test_a_base_that_is_stale_too_is_no_way_out(session: Session, tmp_path: Path, started: Started) -> None:
    released(session, tmp_path, recipe(tmp_path), "production")
    released(session, tmp_path, recipe(tmp_path, model="m@1"), "production")
    erased(session, 1)
    erased(session, 2)
    with pytest.raises(RecipeError, match="erased people as well") as caught:
        retrain.retrain(session, "m")
    assert caught.value.seen == "model: m@1" and "--set model=" in str(caught.value.next)
    assert retrain.retrain(session, "m", overrides=["model=embedded"]).cause == "erasure"
    assert [child.model for child, _ in started.recipes] == ["embedded"]


@pytest.mark.parametrize(
    ("task", "truth", "row"),
    [
        ("classify", "fee", {"label": "fee"}),
        ("regress", {"joy": 1.5, "anger": None}, {"joy": 1.5, "anger": None}),
    ],
)
def test_a_true_answer_becomes_a_row(task: str, truth: Any, row: dict[str, Any], tmp_path: Path) -> None:
    class One:
        text, subject = "words", None

    One.truth = truth  # type: ignore[attr-defined]
    assert row_of(One(), recipe(tmp_path, task)) == {"text": "words", "subject": None, **row}  # type: ignore[arg-type]


def test_a_withdrawn_source_is_read_by_nothing(session: Session, tmp_path: Path, started: Started) -> None:
    made = recipe(tmp_path)
    released(session, tmp_path, made)
    runner = Runner(session.workspace, session.ledger, seed=0, listener=session.listener)
    permission.withdraw(session, "letters", "support")  # for another purpose than that of the recipe
    assert permission.withdrawn(session.ledger, made) == []
    permission.withdraw(session, "letters", "marketing")
    for does in (
        lambda: make_plan(made, runner),
        lambda: start_run(session, made),
        lambda: resume_run(session, "run-1"),
    ):
        with pytest.raises(Denied, match="withdrawn") as caught:
            does()
        assert caught.value.seen == "letters" and "permit" in str(caught.value.next)
    done = retrain.retrain(session, "m", add=[more_rows(tmp_path)])
    child, _ = started.recipes.pop()
    assert done.without == ("letters",) and "letters" not in sources(child)
    assert child.champion is not None and child.champion.without == ("letters",)
    permission.check(ArtifactStore(session.workspace, session.ledger), child)

    assert len(permission.withdraw(session, "letters", "marketing", is_permitted=True)) == 1
    permission.check(runner.store, made)
    with pytest.raises(RecipeError, match="was not withdrawn") as told:
        permission.withdraw(session, "letters", is_permitted=True)
    assert told.value.allowed == "letters for support"
    actions = [one.action for one in audit.entries(session.ledger.engine, session.ledger.project)]
    assert actions.count("source.withdraw") == 2 and actions.count("source.permit") == 1
    assert [one.source for one in withdrawals.read(session.ledger.engine, session.ledger.project)] == ["letters"]


def test_rows_that_outlived_their_source_are_withdrawn_too(session: Session, tmp_path: Path, started: Started) -> None:
    """No recipe names `added-1` any more, but the champion was made with its rows."""
    made = recipe(tmp_path)
    released(session, tmp_path, made)
    permission.withdraw(session, "added-1", "whatever it was for")
    permission.check(ArtifactStore(session.workspace, session.ledger), made)  # a new model reads none of them
    assert retrain.retrain(session, "m", add=[more_rows(tmp_path)]).without == ("added-1",)
    again = load(made.model_dump(mode="json") | {"champion": {"model": "m@1"}})
    with pytest.raises(Denied, match="made with rows") as caught:
        start_run(session, again)
    assert caught.value.seen == "added-1" and "without: [added-1]" in str(caught.value.next)


def test_a_source_whose_file_is_gone_is_not_read_and_its_rows_stay(
    session: Session, tmp_path: Path, started: Started
) -> None:
    made = recipe(tmp_path)
    released(session, tmp_path, made)
    (tmp_path / "letters.csv").unlink()
    add = [more_rows(tmp_path)]
    done = retrain.retrain(session, "m", add=add)
    child, _ = started.recipes.pop()
    assert list(sources(child)) == ["desk", "letters", "added-2"] and child.champion is not None
    assert child.champion.held == ("letters",) and [one.name for one in child.read_sources] == ["desk", "added-2"]
    assert done.to_dict()["gone"] == {"letters": str(tmp_path / "letters.csv")} and child.champion.without == ()
    store = ArtifactStore(session.workspace, session.ledger)
    names = {spec.name for spec in flow_of(child, store).specs}
    assert {"ingest:desk", "ingest:added-2"} < names and "ingest:letters" not in names

    # The recipe still says what it was for: withdrawn for another purpose it stays, for its own its rows leave.
    permission.withdraw(session, "letters", "support")
    assert retrain.retrain(session, "m", add=add).without == ()
    permission.withdraw(session, "letters", "marketing")
    with pytest.raises(Denied, match="withdrawn") as denied:
        permission.check(store, child)
    assert denied.value.seen == "letters"
    done = retrain.retrain(session, "m", add=add)
    child, _ = started.recipes.pop()
    assert (done.without, dict(done.gone)) == (("letters",), {}) and child.champion is not None
    assert child.champion.without == ("letters",) and child.champion.held == ()
    assert list(sources(child)) == ["desk", "added-2"]
    permission.check(store, child)

    # With no file left at all, the rows that may be used are enough to go on from.
    (tmp_path / "desk.csv").unlink()
    assert retrain.retrain(session, "m").gone == {"desk": str(tmp_path / "desk.csv")}
    child, _ = started.recipes.pop()
    assert child.read_sources == () and child.champion is not None and child.champion.held == ("desk",)
    specs = {spec.name: spec for spec in flow_of(child, store).specs}
    assert specs["prepare"].kind == "unread" and specs["prepare"].held == specs["extend"].held

    # Where none may be used, that is said, and what to do.
    permission.withdraw(session, "desk")
    with pytest.raises(Denied, match="no source of this model is left that may be used") as caught:
        retrain.retrain(session, "m")
    assert caught.value.seen == "desk: withdrawn, letters: withdrawn"
    assert "--add" in str(caught.value.next) and "permit" in str(caught.value.next)


def test_what_is_held_is_a_source_of_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, champion={"model": "m@1", "held": ["leters"]})
    assert "did you mean `letters`" in str(caught.value)


def test_a_file_that_the_champion_has_no_row_of_is_missed(session: Session, tmp_path: Path) -> None:
    made = recipe(tmp_path)
    released(session, tmp_path, made)
    more = {**made.model_dump(mode="json")["data"]["sources"][0], "name": "third", "path": str(tmp_path / "third.csv")}
    table = made.model_dump(mode="json")
    table["data"]["sources"].append(more)
    (tmp_path / "third.csv").write_text("words,intent,who\n")
    record(load(table), session.workspace.run_folder("run-1"))
    (tmp_path / "third.csv").unlink()
    with pytest.raises(DataError, match="there is no such file") as caught:
        retrain.retrain(session, "m")
    assert "third" in str(caught.value) and caught.value.next


def test_a_run_keeps_the_champion_that_it_began_with(session: Session, tmp_path: Path) -> None:
    """An alias moves, a run that is resumed does not: it was recorded with the version that the alias meant."""
    made = recipe(tmp_path)
    released(session, tmp_path, made)
    asked = load(made.model_dump(mode="json") | {"champion": {"model": "m@production"}})
    begun = held_fast(asked, session.ledger)
    assert isinstance(begun, Recipe) and begun.champion is not None and begun.champion.model == "m@1"
    released(session, tmp_path, made)
    assert session.ledger.resolve("m", "production").version == 2 and held_fast(begun, session.ledger) == begun
    with pytest.raises(StoreError, match="no model"):
        held_fast(load(made.model_dump(mode="json") | {"champion": {"model": "n@production"}}), session.ledger)


def test_a_child_run_is_on_record_once_with_its_audit(session: Session, tmp_path: Path) -> None:
    released(session, tmp_path, recipe(tmp_path))
    child = load(recipe(tmp_path).model_dump(mode="json") | {"champion": {"model": "m@1"}})
    session.ledger.start_run("child", "m", "classify", "y")
    note_champion(session, child, "child", "drift")
    note_champion(session, child, "child", "by hand")  # a resume
    note_champion(session, recipe(tmp_path), "other", "by hand")  # starts anew
    engine, project = session.ledger.engine, session.ledger.project
    one = retrainings.find(engine, project, "child")
    assert one is not None
    assert (one.parent_run_id, one.name, one.from_version, one.cause) == ("run-1", "m", 1, "drift")
    assert retrainings.find(engine, project, "other") is None
    entries = [one for one in audit.entries(engine, project) if one.action == "retrain"]
    assert [(one.target, json.loads(one.details)) for one in entries] == [
        ("child", {"from": "m@1", "parent": "run-1", "cause": "drift"})
    ]
    assert verify(engine, project).problems == ()


def test_what_forgetting_needs(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, gate={"forgetting": {"at_most": 0.1}})
    assert "names none" in str(caught.value)
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, champion={"model": "m@1"}, tune={"trials": 3})
    assert "comes before a head learns" in str(caught.value)
