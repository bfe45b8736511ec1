"""Loading recipes: defaults, overrides, paths, references to the environment, and back to text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.errors import RecipeError, StoreError
from tunesmith.recipe import yaml12
from tunesmith.recipe.load import dump, load, validate
from tunesmith.recipe.recipe import Recipe
from tunesmith.store.paths import slug

FULL = """
name: support-intents
task: classify
data:
  sources:
    - name: export
      kind: csv
      path: tickets.csv
      columns: {text: message, label: intent, subject: customer_id, segment: tier}
      purpose: support
      licence: own
    - name: crm
      kind: sql
      url: "${env:CRM_URL}"
      query: select * from tickets
      columns: {text: body, label: intent, subject: customer_id}
    - {kind: sql, url: "sqlite:///crm.db", query: "select * from tickets"}
    - {kind: jsonl, path: gold.jsonl, split: test}
  clean: {near_duplicates: 0.9}
  rules:
    - {column: text, min_chars: 3}
  split: {validation: 0.1, test: 0.2, group_by: subject, stratify_by: label}
train:
  method: {label_smoothing: 0.1}
  trainable: head
  optimizer: {kind: sgd, lr: 2e-4}
  batch: 16
  early_stopping: {patience: 3, metric: f1_macro}
evaluate: {baselines: [majority, tfidf]}
gate: {f1_macro: {better_than: [majority, tfidf], confidence: 0.95}}
seed: 012
"""
MINIMAL = "task: classify\ndata: {sources: [{kind: csv, path: rows.csv}]}\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "recipe.yaml") -> Path:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_a_minimal_recipe_is_a_task_and_a_source(write: Write, tmp_path: Path) -> None:
    recipe = load(write(MINIMAL, "My Support.v2.yaml"))
    assert recipe.name == "my-support"
    assert recipe.model == "embedded"
    assert [source.name for source in recipe.data.sources] == ["csv-1"]
    assert recipe.baselines == ("majority", "base_centroid", "tfidf")
    assert recipe.for_train().method.kind == "classify"
    assert recipe.for_train().lr > 0
    assert recipe.serve.alias == "production"


def test_a_full_recipe_says_what_it_says(write: Write, tmp_path: Path) -> None:
    recipe = load(write(FULL))
    export, crm, local, _ = recipe.data.sources
    assert [source.name for source in recipe.data.sources] == ["export", "crm", "sql-2", "jsonl-1"]
    assert export.path == str(tmp_path / "tickets.csv")
    assert crm.url == "${env:CRM_URL}"
    assert local.url == f"sqlite:///{tmp_path / 'crm.db'}"
    assert recipe.for_prepare().given == {"jsonl-1": "test"}
    train = recipe.for_train()
    assert (train.task, train.trainable.kind, train.optimizer.kind, train.lr) == ("classify", "head", "sgd", 2e-4)
    assert train.method.label_smoothing == 0.1
    assert recipe.for_features().precision == "auto"
    assert recipe.for_evaluate().gate == recipe.gate
    assert recipe.seed == 12


def test_a_recipe_without_a_gate_gets_the_tasks(write: Write) -> None:
    gate = load(write(MINIMAL)).for_evaluate().gate
    assert gate is not None
    assert list(gate["f1_macro"].better_than) == ["majority", "base_centroid", "tfidf"]


def test_a_table_counts_paths_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load({"task": "regress", "data": {"sources": [{"kind": "csv", "path": Path("a.csv")}]}})
    assert recipe.data.sources[0].path == str(tmp_path / "a.csv")
    assert recipe.name == "recipe"


@pytest.mark.parametrize(
    ("model", "is_resolved"),
    [("embedded", False), ("./m", True), ("../m", True), ("org/model", False), ("models/own", True)],
)
def test_a_model_folder_is_found_beside_the_recipe(write: Write, tmp_path: Path, model: str, is_resolved: bool) -> None:
    (tmp_path / "models" / "own").mkdir(parents=True)
    recipe = load(write(MINIMAL + f"model: {model}\n"))
    assert recipe.model == (str(tmp_path / model) if is_resolved else model)


def test_absolute_paths_and_memory_databases_stay(write: Write) -> None:
    text = """
task: classify
data:
  sources:
    - {kind: csv, path: /data/rows.csv}
    - {kind: sql, url: "sqlite:////data/crm.db", table: t}
    - {kind: sql, url: "sqlite:///:memory:", table: t}
"""
    first, second, third = load(write(text)).data.sources
    assert (first.path, second.url, third.url) == ("/data/rows.csv", "sqlite:////data/crm.db", "sqlite:///:memory:")


@pytest.mark.parametrize(
    ("override", "seen"),
    [
        ("train.optimizer.lr=1e-4", lambda recipe: recipe.train.optimizer.lr == 1e-4),
        ("train.optimizer=sgd", lambda recipe: recipe.train.optimizer.kind == "sgd"),
        ("train.schedule.warmup=10", lambda recipe: recipe.train.schedule.warmup == 10),
        ("train.early_stopping=null", lambda recipe: recipe.train.early_stopping is None),
        ("data.sources.crm.query=select 1", lambda recipe: recipe.data.sources[1].query == "select 1"),
        ("data.sources.0.purpose=a=b", lambda recipe: recipe.data.sources[0].purpose == "a=b"),
        ("evaluate.baselines=[majority, tfidf]", lambda recipe: recipe.baselines == ("majority", "tfidf")),
        ("train.trainable.kind=full", lambda recipe: recipe.train.trainable.kind == "full"),
    ],
)
def test_overrides_are_read_as_if_they_stood_in_the_file(write: Write, override: str, seen: Any) -> None:
    assert seen(load(write(FULL), [override]))


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("train.epochs", "an override is a path"),
        ("train..epochs=1", "an override is a path"),
        ("data.sources.nope.path=x", "there is no item `nope`"),
        ("data.sources.9.path=x", "there is no item `9`"),
        ("train.epochs=[", "--set train.epochs=[:1"),
        ("train.epochs=soon", "--set train.epochs=soon: `train.epochs` does not fit"),
        ("train.optimiser.lr=1", "there is no key `train.optimiser`"),
        ("seed.x=1", "`x` would stand inside of a value"),
    ],
)
def test_a_wrong_override_is_named(write: Write, override: str, what: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(write(FULL), [override])
    assert what in caught.value.what


def test_a_reference_to_the_environment_is_kept_and_never_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_URL", "postgresql://me:hunter2@db/crm")
    text = dump(load(write(FULL)))
    assert 'url: "${env:CRM_URL}"' in text
    assert "hunter2" not in text


def test_a_reference_to_the_environment_is_refused_elsewhere(write: Write) -> None:
    with pytest.raises(RecipeError, match=r"recipe.yaml:2:\d+: `data.sources\[0\].path` cannot refer"):
        load(write("task: classify\ndata: {sources: [{kind: csv, path: '${env:ROWS}'}]}\n"))


def test_a_key_that_there_is_not_is_told_before_what_it_refers_to(write: Write) -> None:
    hook = "monitor: {webhook: {url: '${env:HOOK}', secret: '${env:SECRET}'}}"
    with pytest.raises(RecipeError, match=r"there is no key `monitor.webhook.secret`") as raised:
        load(write(f"task: classify\ndata: {{sources: [{{kind: csv, path: a.csv}}]}}\n{hook}\n"))
    assert "cannot refer" not in str(raised.value)


@pytest.mark.parametrize("text", [MINIMAL, FULL])
def test_a_dumped_recipe_loads_to_the_same_value(write: Write, text: str) -> None:
    recipe = load(write(text))
    assert load(write(dump(recipe), "again.yaml")) == recipe
    assert dump(load(write(dump(recipe), "again.yaml"))) == dump(recipe)


rates = st.floats(min_value=1e-8, max_value=1.0)
labels = st.text(min_size=1, max_size=8)
phases = st.fixed_dictionaries(
    {},
    optional={
        "method": st.fixed_dictionaries(
            {"kind": st.just("classify")},
            optional={
                "label_smoothing": st.floats(0, 0.9),
                "class_weights": st.sampled_from(["none", "balanced"]) | st.dictionaries(labels, st.floats(0, 100)),
            },
        ),
        "trainable": st.sampled_from(["full", "head", {"kind": "full"}]),
        "optimizer": st.sampled_from(["adamw", "sgd"])
        | st.fixed_dictionaries({}, optional={"lr": rates, "betas": st.just([0.8, 0.9]), "eps": rates})
        | st.fixed_dictionaries({"kind": st.just("sgd")}, optional={"momentum": st.floats(0, 0.99)}),
        "schedule": st.fixed_dictionaries(
            {"kind": st.sampled_from(["linear", "cosine", "constant"])},
            optional={"warmup": st.integers(0, 1000) | st.floats(0, 0.99)},
        ),
        "batch": st.integers(1, 4096),
        "epochs": st.none() | st.integers(1, 100),
        "clip": st.none() | st.floats(0.01, 100),
        "max_tokens": st.just("auto") | st.integers(8, 512),
        "validate_every": st.floats(0.1, 10),
        "bucketing": st.booleans(),
    },
)
recipes = st.fixed_dictionaries(
    {
        "task": st.just("classify"),
        "data": st.fixed_dictionaries(
            {
                "sources": st.just([{"kind": "csv", "path": "/a b/c.csv"}]),
                "rules": st.lists(
                    st.fixed_dictionaries(
                        {
                            "column": st.text(min_size=1, max_size=5),
                            "one_of": st.lists(st.text(), min_size=1, max_size=3),
                        }
                    ),
                    max_size=2,
                ),
            }
        ),
        "train": phases,
    },
    optional={"seed": st.integers(0, 2**32 - 1), "model": st.sampled_from(["embedded", "no", "org/name", "1e3"])},
)


@given(recipes)
def test_any_recipe_survives_its_text(data: dict[str, Any]) -> None:
    recipe = Recipe.model_validate(data)
    again = validate(yaml12.read(dump(recipe), "dumped.yaml"), "dumped.yaml")
    assert again == recipe
    assert repr(again) == repr(recipe)  # 1 == 1.0: steps must not become a share


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: None, "there is no recipe"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b"task: caf\xe9\n"), "is not UTF-8"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0"), "is not UTF-8"),
        (lambda path: path.write_bytes(b""), "is empty"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, make: Callable[[Path], object], what: str) -> None:
    file = tmp_path / "recipe.yaml"
    make(file)
    with pytest.raises(RecipeError, match=what) as caught:
        load(file)
    assert caught.value.next or caught.value.seen


def test_a_recipe_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load(file).task == "classify"


def test_loading_a_recipe_loads_nothing_heavy(write: Write) -> None:
    file = write(FULL)
    code = (
        "import sys\n"
        "from tunesmith.recipe.load import dump, load\n"
        f"dump(load({str(file)!r}))\n"
        "print(sorted({'torch', 'transformers', 'sklearn', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_called_recipe_is_named_for_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "My Task"
    folder.mkdir()
    for name, expected in (("recipe.yaml", "my-task"), ("intents.yaml", "intents")):
        (folder / name).write_text("task: classify\ndata: {sources: [{kind: csv, path: rows.csv}]}\n")
        assert load(folder / name).name == expected


@pytest.mark.parametrize("name", ["a..b", "a.", ".a", "", "a b", "Ä", "x" * 65])
def test_a_name_that_the_registry_would_refuse_is_refused_before_the_run(write: Write, name: str) -> None:
    with pytest.raises(StoreError):
        slug(name if len(name) < 65 else 2 * name, "model name")
    for key in ("name", "serve.alias"):
        with pytest.raises(RecipeError, match=key.rpartition(".")[2]):
            load(write(MINIMAL), [f'{key}="{name}"'])


def test_an_alias_is_no_number(write: Write) -> None:
    with pytest.raises(RecipeError, match="numbers are versions"):
        load(write(MINIMAL), ['serve.alias="7"'])
    assert load(write(MINIMAL), ["serve.alias=v7.1"]).serve.alias == "v7.1"


@pytest.mark.parametrize("stem", ["a..b", "tickets.", "x" * 63 + ".more", "...", "Größe (neu)..2"])
def test_whatever_a_file_is_called_its_model_has_a_name(write: Write, stem: str) -> None:
    assert slug(load(write(MINIMAL, f"{stem}.yaml")).name, "model name")
