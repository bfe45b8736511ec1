"""Every problem of a recipe at once, each at its line; other tools' keys answered with ours."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import aliases, yaml12
from tunesmith.recipe.load import load, validate
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.schema import paths

MINIMAL: dict[str, Any] = {"task": "classify", "data": {"sources": [{"kind": "csv", "path": "rows.csv"}]}}


def refusal(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        validate(yaml12.read(text, "r.yaml"), "r.yaml")
    return caught.value


def minimal(**more: Any) -> dict[str, Any]:
    return {**copy.deepcopy(MINIMAL), **more}


def test_one_problem_is_one_error_with_its_place() -> None:
    error = refusal("task: classify\ndata:\n  sources: [{kind: csv, path: a}]\ntrain:\n  batch: many\n")
    assert error.what == "r.yaml:5:3: `train.batch` does not fit"
    assert (error.seen, error.allowed) == ("many", "whole number ≥ 1")


def test_all_problems_are_shown_in_the_order_of_the_file() -> None:
    error = refusal(
        "task: classify\n"
        "modle: x\n"
        "data:\n"
        "  sources:\n"
        "    - {kind: csv, pth: a}\n"
        "train:\n"
        "  epoch: 3\n"
        "  schedule: {kind: linaer, warmup: lots}\n"
        "  optimizer: adamx\n"
    )
    text = str(error)
    assert error.what.startswith("r.yaml: 7 problems")
    wanted = [
        "r.yaml:2:1: there is no key `modle`",
        "r.yaml:5:7: `data.sources[0].path` is missing",
        "r.yaml:5:19: there is no key `data.sources[0].pth`",
        "r.yaml:7:3: there is no key `train.epoch`",
        "r.yaml:8:14: `train.schedule.kind` does not fit",
        "r.yaml:8:28: `train.schedule.warmup` does not fit",
        "r.yaml:9:3: there is no optimizer of kind `adamx`",
    ]
    positions = [text.index(part) for part in wanted]
    assert positions == sorted(positions)
    for word in ("did you mean `model`?", "did you mean `path`?", "did you mean `epochs`?", "did you mean `adam`?"):
        assert word in text


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("max_tokens: long", "whole number ≥ 8 or `auto`"),
        ("clip: -1", "number > 0 or null"),
        ("dropout: 1", "number ≥ 0 and < 1"),
        ("batch: true", "whole number ≥ 1"),
        ("bucketing: 3", "true or false"),
        ("optimizer: {betas: [0.9, 2]}", "list of 2 of number ≥ 0 and < 1"),
        ("precision: fp8", "`auto` or `float32` or `bfloat16`"),
        ("optimizer:", "`adamw` or `adam` or `sgd` or `rmsprop` or `adafactor` or `lion` or `muon` or `adamw_8bit`"),
    ],
)
def test_a_wrong_value_is_answered_with_what_is_allowed(text: str, allowed: str) -> None:
    error = refusal(f"task: classify\ndata: {{sources: [{{kind: csv, path: a}}]}}\ntrain:\n  {text}\n")
    assert "does not fit" in error.what
    assert error.allowed == allowed


def test_a_key_in_the_wrong_place_is_sent_to_its_own() -> None:
    error = refusal("task: classify\ndata: {sources: [{kind: csv, path: a}]}\nepochs: 3\nmomentum: 0.9\n")
    assert "its place is `train.epochs`" in str(error)
    assert "its place is `train.optimizer.momentum`" in str(error)


def test_a_misspelt_section_is_named_before_the_keys_in_it() -> None:
    error = refusal("task: classify\ndata: {sources: [{kind: csv, path: a}]}\ntrian: {learning_rate: 1e-4}\n")
    assert error.next == "did you mean `train`?"


@pytest.mark.parametrize(
    ("key", "value", "native", "write"),
    [
        ("base_model", "org/bert", "model", "model: org/bert"),
        ("model_name_or_path", "./m", "model", "model: ./m"),
        ("learning_rate", "2e-5", "train.optimizer.lr", "train: {optimizer: {lr: 2e-05}}"),
        ("lr", 0.1, "train.optimizer.lr", "train: {optimizer: {lr: 0.1}}"),
        ("cutoff_len", 256, "train.max_tokens", "train: {max_tokens: 256}"),
        ("num_train_epochs", 3.0, "train.epochs", "train: {epochs: 3}"),
        ("lr_scheduler_type", "constant_with_warmup", "train.schedule.kind", "train: {schedule: {kind: constant}}"),
        ("warmup_ratio", 0.03, "train.schedule.warmup", "train: {schedule: {warmup: 0.03}}"),
        ("warmup_steps", 100, "train.schedule.warmup", "train: {schedule: {warmup: 100}}"),
        ("optim", "adamw_torch_fused", "train.optimizer.kind", "train: {optimizer: {kind: adamw}}"),
        ("max_grad_norm", 1, "train.clip", "train: {clip: 1.0}"),
        ("bf16", True, "train.precision", "train: {precision: bfloat16}"),
        (
            "label_smoothing_factor",
            0.1,
            "train.method.label_smoothing",
            "method: {kind: classify, label_smoothing: 0.1}",
        ),
        ("early_stopping_patience", 3, "train.early_stopping.patience", "train: {early_stopping: {patience: 3}}"),
        ("val_set_size", 0.1, "data.split.validation", "data: {split: {validation: 0.1}}"),
        ("evals_per_epoch", 4, "train.validate_every", "train: {validate_every: 0.25}"),
        ("dataset_path", "d.jsonl", "data.sources", "data: {sources: [{kind: jsonl, path: d.jsonl}]}"),
        ("text_column", "body", "data.sources.columns.text", "columns: {text: body}"),
        ("lora_r", 16, "train.trainable.rank", "train: {trainable: {kind: lora, rank: 16}}"),
        ("lora_target_modules", ["query"], "train.trainable.targets", "trainable: {kind: lora, targets: [query]}"),
        ("adapter", "qlora", "train.trainable", "nothing is quantised"),
        ("use_rslora", True, "train.trainable.rslora", "trainable: {kind: lora, rslora: true}"),
        ("optim", "adafactor", "train.optimizer.kind", "train: {optimizer: {kind: adafactor}}"),
        ("eval_steps", 500, "train.validate_every", "counted in epochs"),
    ],
)
@pytest.mark.parametrize("place", ["top", "train", "own section"])
def test_other_tools_keys_are_answered_with_ours(place: str, key: str, value: Any, native: str, write: str) -> None:
    if place == "top":
        data = minimal(**{key: value})
    elif place == "train":
        data = minimal(train={key: value})
    else:
        data = minimal(hf_arguments={"inner": {key: value}})
    with pytest.raises(RecipeError) as caught:
        load(data)
    text = str(caught.value)
    assert f"`{key}` is `{native}` here" in text
    assert write in text


def test_a_key_without_a_counterpart_says_why() -> None:
    with pytest.raises(RecipeError) as caught:
        load(minimal(output_dir="out", trust_remote_code=True))
    assert "`output_dir` has no counterpart here" in str(caught.value)
    assert "TUNESMITH_HOME" in str(caught.value)
    assert "never run" in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "rows", "words"),
    [
        ({"per_device_train_batch_size": 8, "gradient_accumulation_steps": 4}, 32, "1 process"),
        ({"micro_batch_size": 2, "gradient_accumulation_steps": 8, "world_size": 4}, 64, "`world_size` 4"),
        ({"batch_size": 16}, 16, "`batch_size` 16"),
    ],
)
def test_rows_a_device_times_accumulation_times_processes_is_the_batch(
    keys: dict[str, int], rows: int, words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        load(minimal(train=keys))
    text = str(caught.value)
    assert f"write `train: {{batch: {rows}}}`" in text
    assert words in text
    assert text.count("train.batch") == 1  # one answer for all of the keys
    assert "problems" not in text


def test_accumulation_alone_makes_no_batch() -> None:
    with pytest.raises(RecipeError, match="rows × accumulation × processes"):
        load(minimal(gradient_accumulation_steps=4))


def test_a_column_that_is_called_like_a_key_is_left_alone() -> None:
    columns = {"text": "t", "label": "l", "batch_size": "b", "lr": "c"}
    with pytest.raises(RecipeError) as caught:
        load({"task": "classify", "data": {"sources": [{"kind": "csv", "path": "a", "columns": columns}]}, "trian": {}})
    assert str(caught.value).startswith("recipe: there is no key `trian`")


SAMPLES: tuple[Any, ...] = (0.1, 2, 8, 100, "sgd", "linear", "body", True, False, "balanced", "epoch", "rows.csv")


def merged(base: Any, piece: Any) -> Any:
    if isinstance(base, dict) and isinstance(piece, dict):
        return {**base, **{key: merged(base.get(key), item) for key, item in piece.items()}}
    return piece


@pytest.mark.parametrize("key", sorted(aliases.ALIASES))
def test_what_an_alias_says_to_write_is_a_recipe_that_loads(key: str) -> None:
    alias = aliases.ALIASES[key]
    pieces = [piece for sample in SAMPLES if (piece := alias.write(sample)) is not None]
    for piece in pieces:
        if "columns" in piece:  # stands in a source
            columns = {"text": "t", "label": "l", **piece["columns"]}
            piece = {"data": {"sources": [{"kind": "csv", "path": "rows.csv", "columns": columns}]}}
        load(merged(minimal(), piece))
    assert pieces or alias.note or alias.native == "task"


def test_every_native_path_of_an_alias_exists() -> None:
    known = {path for places in paths(Recipe).values() for path in places}
    tables = {"data.sources.columns.text": "data.sources.columns", "data.sources.columns.label": "data.sources.columns"}
    named = {tables.get(alias.native, alias.native) for alias in aliases.ALIASES.values() if alias.native}
    assert named <= known


@pytest.mark.parametrize(
    ("more", "what", "way_out"),
    [
        ("evaluate: {fairness: segment}", "`evaluate.fairness` does not fit", "write `fairness: {by: …}`"),
        ("decision: {reject: {kep: 0.9}}", "no key `decision.reject.kep`", "did you mean `keep`?"),
        ("tune: {space: {train.lr: [1e-5, 1e-3]}}", "no setting `train.lr`", "did you mean `train.optimizer.lr`?"),
        ("gate: {accuracy: {at_least: 85}}", "no model can meet `gate.accuracy`", "did you mean 0.85?"),
        ("gate: {accuracy: {at_most: -0.1}}", "no model can meet `gate.accuracy`", "goes from 0 to 1"),
        ("gate: {latency_p95_ms: {at_least: 9, at_most: 5}}", "no model can meet", "at_least: 9, at_most: 5"),
    ],
)
def test_a_usual_mistake_is_told_with_its_way_out(more: str, what: str, way_out: str) -> None:
    told = str(refusal(f"task: classify\ndata: {{sources: [{{kind: csv, path: a}}]}}\n{more}\n"))
    assert what in told and way_out in told


@pytest.mark.parametrize(
    ("more", "what", "way_out"),
    [
        ("augment: {methods: typos}", "`data.augment.methods` does not fit", "write `methods: [typos]`"),
        ("privacy: redakt", "happens to personal data", "redact, pseudonymise"),
        ("privacy: {entities: {MAIL: redact}}", "there is no kind `MAIL`", "did you mean `EMAIL`?"),
        ("normalise: {created: dat}", "`data.normalise.created` does not fit", "did you mean `date`?"),
    ],
)
def test_a_mistake_under_data_is_one_problem(more: str, what: str, way_out: str) -> None:
    told = str(refusal(f"task: classify\ndata:\n  sources: [{{kind: csv, path: a}}]\n  {more}\n"))
    assert what in told and way_out in told and "problems" not in told


def test_a_kind_that_is_not_there_is_told_with_the_nearest() -> None:
    source = "{kind: http, url: 'https://a.example/x', paging: next}"
    told = str(refusal(f"task: classify\ndata: {{sources: [{source}]}}\n"))
    assert "`data.sources[0].paging` has no kind `next`" in told and "did you mean `next_link`?" in told
