"""A run is resumed with the recipe it began with, or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith import examples
from tunesmith.cli.main import main
from tunesmith.core import digests
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.lifecycle import run as runs
from tunesmith.lifecycle.recorded import PLAIN, RECIPE, differences, digest_of, record, recorded
from tunesmith.lifecycle.run import resume_run, start_run
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.recipe.load import dump, load

HEADS = """\
name: desk
task: classify
data:
  sources:
    - {kind: csv, path: rows.csv}
    - {name: crm, kind: sql, url: "${env:CRM_URL}", query: "select body as text, 'ja: #1' as label from t"}
train: {optimizer: {kind: adamw, lr: 1e-5}, epochs: 2, batch: 16}
gate: {}
"""
WRITTEN = """\
name: notes
task: generate
data: {sources: [{name: "1", kind: jsonl, path: "Über uns/täglich.jsonl"}]}
model: ./base
train:
  - {method: continued_pretraining, epochs: 1, optimizer: {kind: adamw, lr: 0.00003}}
  - {trainable: {kind: lora, rank: 8, alpha: 16}, epochs: 2, on_nan: skip, sources: ["1"]}
"""
COOKBOOK = (Path(__file__).parents[3] / "docs" / "cookbook.md").read_text(encoding="utf-8")
EXAMPLE = next(Path(examples.__file__).parent.rglob("recipe.yaml")).read_text(encoding="utf-8")
RECIPES = [HEADS, WRITTEN, EXAMPLE, *re.findall(r"```yaml\n(.*?)```", COOKBOOK, re.DOTALL)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Session, str, Path]]:
    """A run that failed in its first step, and its folder."""
    (tmp_path / "mine.yaml").write_text(HEADS, encoding="utf-8")

    def fail(*given: Any) -> Any:
        raise DataError("no rows today")

    monkeypatch.setattr(runs, "flow_of", fail)
    with open_session(tmp_path / "home") as session:
        with pytest.raises(DataError) as caught:
            start_run(session, load(tmp_path / "mine.yaml"))
        run_id = caught.value.run_id
        assert run_id is not None
        yield session, run_id, session.workspace.run_folder(run_id)


@pytest.mark.parametrize("text", RECIPES)
def test_what_a_run_records_is_the_recipe_to_the_digest(text: str, tmp_path: Path) -> None:
    """Also where it is read and written again and again, and from any folder."""
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    recipe = load(tmp_path / "mine.yaml")
    folder = tmp_path / "home" / "runs" / "r1"
    folder.mkdir(parents=True)
    record(recipe, folder)
    again = recorded(folder, "r1", digest_of(recipe))
    assert digest_of(again) == digest_of(recipe) == digests.of_value(json.loads((folder / PLAIN).read_text()))
    assert dump(again) == dump(recipe) == (folder / RECIPE).read_text(encoding="utf-8")


def test_comments_and_spacing_are_no_change_and_stay(run: tuple[Session, str, Path]) -> None:
    session, run_id, folder = run
    text = (folder / RECIPE).read_text().replace("seed: 0", "seed:   0   # as in the paper")
    (folder / RECIPE).write_text("# checked by Ada\n" + text)
    with pytest.raises(DataError, match="no rows today"):
        resume_run(session, run_id)
    assert (folder / RECIPE).read_text() == "# checked by Ada\n" + text


def test_a_changed_recipe_is_refused_and_the_difference_shown(run: tuple[Session, str, Path]) -> None:
    session, run_id, folder = run
    text = (folder / RECIPE).read_text()
    text = text.replace("lr: 1e-05", "lr: 0.001").replace("epochs: 2", "epochs: 3").replace("rows.csv", "more.csv")
    (folder / RECIPE).write_text(text.replace("env:CRM_URL", "env:OTHER_URL"))
    before, status = (folder / RECIPE).read_bytes(), session.ledger.run(run_id)
    with pytest.raises(RecipeError, match=f"recipe of the run `{run_id}` has changed") as caught:
        resume_run(session, run_id)
    seen = str(caught.value.seen).split("; ")
    assert "train.optimizer.lr: 0.001 (was 1e-05)" in seen
    assert any((one.startswith("train.epochs: 3") and one.endswith("(was 2)")) or "(was 2.0)" in one for one in seen)
    assert any("more.csv" in one and "data.sources[0].path" in one for one in seen)
    assert 'data.sources[1].url: "${env:OTHER_URL}" (was "${env:CRM_URL}")' in seen
    assert len(seen) == 4
    assert f"tunesmith run {folder / RECIPE}" in str(caught.value.next)
    assert caught.value.exit_code == 2
    assert (folder / RECIPE).read_bytes() == before, "the edit is left as it is"
    assert session.ledger.run(run_id) == status, "the run stays as it ended"


def test_a_key_that_came_or_went_is_named(run: tuple[Session, str, Path]) -> None:
    session, run_id, folder = run
    text = (folder / RECIPE).read_text()
    assert "kind: adamw" in text
    (folder / RECIPE).write_text(HEADS.replace("{kind: adamw, lr: 1e-5}", "{kind: lion, lr: 1e-5}"))
    with pytest.raises(RecipeError) as caught:
        resume_run(session, run_id)
    assert 'train.optimizer.kind: "lion" (was "adamw")' in str(caught.value.seen)
    assert "not there" in str(caught.value.seen)


def test_keys_of_a_newer_tunesmith_are_no_change(tmp_path: Path) -> None:
    """A run that began before `champion` and `explain` were there is resumed; one that asks for them now is not."""
    (tmp_path / "mine.yaml").write_text(HEADS, encoding="utf-8")
    record(load(tmp_path / "mine.yaml"), tmp_path)
    values = json.loads((tmp_path / PLAIN).read_text())
    text = (tmp_path / RECIPE).read_text()
    for key in ("champion", "explain"):
        assert values.pop(key) is None
        assert f"\n{key}: null\n" in text
        text = text.replace(f"\n{key}: null\n", "\n")
    (tmp_path / PLAIN).write_text(json.dumps(values))
    (tmp_path / RECIPE).write_text(text)
    digest = digests.of_value(values)
    recipe = recorded(tmp_path, "r1", digest)
    assert recipe.name == load(tmp_path / "mine.yaml").name and digest_of(recipe) != digest
    (tmp_path / RECIPE).write_text(text + "explain: {rows: 30}\n")
    with pytest.raises(RecipeError, match="has changed") as caught:
        recorded(tmp_path, "r1", digest)
    assert "explain" in str(caught.value.seen)


def test_where_the_old_recipe_is_not_known_that_is_said(run: tuple[Session, str, Path]) -> None:
    """A run of an older version, or both files edited: refused all the same."""
    session, run_id, folder = run
    (folder / RECIPE).write_text((folder / RECIPE).read_text().replace("epochs: 2", "epochs: 3"))
    for spoil in (lambda: (folder / PLAIN).write_text("{}"), (folder / PLAIN).unlink):
        spoil()
        with pytest.raises(RecipeError, match="has changed") as caught:
            resume_run(session, run_id)
        assert caught.value.seen == "what it was is not known any more"
        assert "put the old values back" not in str(caught.value.next)


def test_the_command_line_refuses_it_with_2(
    run: tuple[Session, str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, run_id, folder = run
    (folder / RECIPE).write_text((folder / RECIPE).read_text().replace("batch: 16", "batch: 8"))
    assert main(["resume", run_id, "--home", str(tmp_path / "home")]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "train.batch: 8 (was 16)" in shown.err
    assert "start a new run" in shown.err and "tunesmith resume" not in shown.err
    assert main(["resume", run_id, "--home", str(tmp_path / "home"), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["error"], told["seen"], told["resume"]) == ("RecipeError", "train.batch: 8 (was 16)", None)


def test_differences_are_found_at_any_depth() -> None:
    now = {"a": [1, {"b": 1.0}], "c": [1, 2], "d": True, "new": None}
    before = {"a": [1, {"b": 1}], "c": [1], "d": 1, "old": 0}
    found = {path: (one, other) for path, one, other in differences(now, before)}
    assert set(found) == {("a", 1, "b"), ("c",), ("d",), ("new",), ("old",)}
    assert found[("c",)] == ([1, 2], [1])
    assert list(differences(now, now)) == []
