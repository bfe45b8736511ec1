"""The stage: numbers by hand, several references, baselines, forgetting, the gate, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.data.context import FakeContext
from tests.unit.evaluation.language.fakes import FakeWriter, asked, frame, general, given

from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.errors import DataError, RecipeError, StepError
from tunesmith.evaluation.config import GateRule
from tunesmith.evaluation.language.config import EvaluateLanguageConfig, ForgettingConfig
from tunesmith.evaluation.language.prompts import NOT_READ
from tunesmith.evaluation.language.stage import EvaluateLanguage

TRAIN = [asked(f"name number {at}", f"it is {at}") for at in range(20)]
TEST = frame([asked(f"name number {at}", f"it is {at}") for at in range(100, 130)])


def _right(one: Conversation) -> str:
    return "it is " + one.turns[-1].content.removeprefix("name number ")


def _echo(one: Conversation) -> str:
    return one.turns[-1].content


def _copied(one: Conversation) -> str:
    """The answer that stands last before the prompt, else nothing: what a model of examples does."""
    return one.answer


def _run(tmp_path: Path, test: pl.DataFrame = TEST, more: dict[str, Any] | None = None, **changes: Any) -> Any:
    """The stage's facts, its predictions, and the engines that it asked."""
    changes = {"task": "generate", "bootstrap_samples": 200} | changes
    context = FakeContext(tmp_path)
    engines: list[FakeWriter] = []

    def opened(write: Any, nats: float) -> Any:
        def open_(model: Path, base: Path) -> FakeWriter:
            engines.append(FakeWriter(write, nats))
            return engines[-1]

        return open_

    model, base = opened(_right, 0.5), opened(lambda one: _copied(one) or _echo(one), 1.0)
    stage = EvaluateLanguage(EvaluateLanguageConfig.model_validate(changes), model, base)
    facts = stage.run({**given(context, TRAIN, test), **(more or {})}, context)["report"]
    return facts, pl.read_parquet(tmp_path / "out" / "report" / "predictions.parquet"), engines


def test_a_model_is_measured_beside_the_untrained_base(tmp_path: Path) -> None:
    facts, rows, engines = _run(tmp_path)
    scores = facts["metrics"]["test"]
    assert facts["primary"] == "chrf" and scores["chrf"]["value"] == pytest.approx(100)
    assert scores["exact_match"] == {"value": 1.0, "low": pytest.approx(0.886, abs=1e-3), "high": 1.0}
    # Half a nat a byte, four bytes a token.
    assert scores["bits_per_byte"]["value"] == pytest.approx(0.5 / math.log(2))
    assert scores["perplexity"]["value"] == pytest.approx(math.exp(2.0))
    assert facts["baselines"]["base"]["bits_per_byte"]["value"] == pytest.approx(1 / math.log(2))
    assert facts["gate"]["passed"] and facts["gate"]["verdict"] == "better"
    assert [one["against"] for one in facts["comparisons"]] == ["base", "few_shot"]
    assert "on 30 test prompts" in facts["gate"]["checks"][0]["words"]
    assert facts["prompts"] == {"all": 30, "measured": 30, "answerable": 30, "written": 30}
    assert rows["generated"].to_list() == rows["reference"].to_list()
    assert rows["baseline_base"].to_list() == rows["prompt"].to_list()
    assert all(text.startswith("it is") for text in rows["baseline_few_shot"])
    assert facts["generation"]["examples"] == {"scored": {"3": 30}, "written": {"3": 30}}
    assert facts["generation"]["finish"]["model"] == {"stop": 30}
    source = facts["by_source"]["crm"]
    assert source["rows"] == 30 and source["predictors"]["model"]["loss"] == pytest.approx(2.0)
    assert facts["not_measured"] == {"forgetting": "the recipe names no general text (`evaluate.forgetting`)"}
    assert all(one.is_closed for one in engines) and len(engines) == 2
    assert json.loads((tmp_path / "out" / "report" / "metrics.json").read_text()) == facts


def test_rows_that_ask_the_same_are_references_of_one_prompt(tmp_path: Path) -> None:
    same = [asked("say it", "it is it"), asked("say it", "that it is"), asked("say it", "that it is")]
    facts, rows, engines = _run(tmp_path, frame([*same, *(asked(f"name number {at}", "no") for at in range(9))]))
    assert facts["num_rows"] == 12 and facts["prompts"]["measured"] == 10
    assert [len(one.conversations) for one in engines[0].requests] == [10, 2, 10]
    assert rows["generated"][:3].to_list() == ["it is say it"] * 3
    assert rows["prompt_id"].n_unique() == 10
    assert facts["metrics"]["test"]["exact_match"]["value"] == 0.0


def test_what_is_written_and_scored_is_bounded_and_counted(tmp_path: Path) -> None:
    facts, rows, _ = _run(tmp_path, generation={"prompts": 5}, scored_prompts=12)
    assert facts["prompts"] == {"all": 30, "measured": 12, "answerable": 30, "written": 5}
    assert rows["generated"].count() == 5 and rows["weight"].count() == 12
    by_metric = {one["metric"]: one["num_rows"] for one in facts["comparisons"]}
    assert by_metric == {"chrf": 5}
    renamed = TEST.with_columns(pl.col("row_id").str.replace("row", "other"))
    again, others, _ = _run(tmp_path / "again", renamed, generation={"prompts": 5}, scored_prompts=12)
    assert others["generated"].to_list() == rows["generated"].to_list()
    assert again["metrics"] == facts["metrics"]


def test_a_gate_asks_what_it_says(tmp_path: Path) -> None:
    gate = {
        "bits_per_byte": GateRule(at_most=1.0, better_than=("base",)),
        "forgetting": GateRule(at_most=0.1, confidence=0.95),
    }
    source = {"kind": "text", "path": "general.txt"}
    more = {"general": general(tmp_path / "general", ["It was a dark and stormy night. " * 200, "And so on. " * 50])}
    facts, _, _ = _run(tmp_path, more=more, gate=gate, forgetting=ForgettingConfig(source=source))
    # Half the nats a byte: general text got easier by half.
    assert facts["forgetting"]["rise"]["value"] == pytest.approx(-0.5)
    assert facts["forgetting"]["num_bytes"] == facts["forgetting"]["of_bytes"] == 6950
    assert facts["gate"]["passed"] and facts["primary"] == "bits_per_byte" and not facts["not_measured"]
    words = [check["words"] for check in facts["gate"]["checks"]]
    assert f"on {facts['forgetting']['num_passages']} passages of general text" in words[-1]
    with pytest.raises(RecipeError, match="no general text is named"):
        _run(tmp_path / "without", gate={"forgetting": GateRule(at_most=0.1)})


def test_texts_that_ask_nothing_are_scored_alone(tmp_path: Path) -> None:
    texts = frame([Conversation((Turn("assistant", f"The committee met {at} times."),)) for at in range(8)])
    facts, rows, engines = _run(tmp_path, texts)
    assert facts["primary"] == "bits_per_byte" and facts["gate"]["verdict"] == "better"
    assert facts["not_measured"]["few_shot"].startswith("the test rows ask nothing")
    assert facts["not_measured"]["chrf"] == "no answer was written" and facts["baselines"].keys() == {"base"}
    assert facts["notes"] == {"the row asks nothing: scored, not written": 8}
    assert rows["generated"].null_count() == 8 and facts["prompts"]["measured"] == 8
    assert [one.capability for one in engines[0].requests] == ["score"]


def test_a_baseline_that_cannot_be_run_does_not_pass_the_gate(tmp_path: Path) -> None:
    texts = frame([Conversation((Turn("assistant", f"The committee met {at} times."),)) for at in range(8)])
    facts, _, _ = _run(tmp_path, texts, gate={"bits_per_byte": GateRule(better_than=("base", "few_shot"))})
    assert [check["passed"] for check in facts["gate"]["checks"]] == [True, False]
    assert "few_shot was not measured" in facts["gate"]["checks"][1]["words"] and not facts["gate"]["passed"]


def test_calls_of_tools_are_scored_and_not_written(tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    calling = Conversation((Turn("user", "look"), Turn("assistant", "", tool_calls=(call,))), ({"name": "look"},))
    nothing = Conversation((Turn("user", "hello"),))
    many = [asked(f"name number {at}", f"it is {at}") for at in range(5)]
    facts, rows, _ = _run(tmp_path, frame([calling, nothing, *many]))
    assert facts["notes"] == {
        "the answer is only a call of a tool: scored, not written": 1,
        "no turn of an assistant: nothing to measure": 1,
    }
    assert rows["generated"].null_count() == 2 and rows["weight"].null_count() == 1
    assert facts["prompts"] == {"all": 6, "measured": 6, "answerable": 5, "written": 5}


def _tokens(folder: Path, left: dict[str, str], **facts: Any) -> Artifact:
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        rows = pl.DataFrame(list(left.items()), schema={"row_id": pl.String, "reason": pl.String}, orient="row")
        rows.write_parquet(folder / f"{split}.left_out.parquet")
    return Artifact("tokens", "digest", folder, facts, MadeBy("key", "tokens", 0))


def test_rows_that_the_model_cannot_read_are_counted_and_left_out(tmp_path: Path) -> None:
    left = {"row-3": "the template refuses: no system turn", "row-4": "longer than 512 tokens", "train-1": "longer"}
    facts, rows, engines = _run(tmp_path, more={"tokens": _tokens(tmp_path / "tokens", left)})
    assert facts["prompts"]["all"] == 28 and rows["weight"].null_count() == 2
    assert facts["notes"] == {f"{NOT_READ}: {left[row]}": 1 for row in ("row-3", "row-4")}
    read = [conversation for one in engines[1].requests for conversation in one.conversations]
    shown = {turn.content for one in read for turn in one.turns}
    assert "name number 2" in shown and "name number 1" not in shown


def test_where_the_last_answer_is_learned_it_alone_is_scored(tmp_path: Path) -> None:
    turns = (*asked("name number 7", "it is 7").turns, *asked("name number 8", "it is 8!").turns)
    test = frame([Conversation(turns)] * 2 + [asked("name number 9", "it is 9")])
    by_train_on = {}
    for train_on in ("assistant", "last"):
        more = {"tokens": _tokens(tmp_path / train_on / "tokens", {}, train_on=train_on)}
        by_train_on[train_on] = _run(tmp_path / train_on, test, more=more)[1]["bytes"].to_list()
    assert by_train_on == {"assistant": [15, 15, 7], "last": [8, 8, 7]}


def test_nothing_to_measure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no test row with an answer"):
        _run(tmp_path, frame([Conversation((Turn("user", "hello"),))]))
    with pytest.raises(RecipeError, match="no metric"):
        _run(tmp_path, gate={"f1_macro": GateRule(at_least=0.5)})
    with pytest.raises(RecipeError, match="which is not run"):
        _run(tmp_path, baselines=["base"], gate={"chrf": GateRule(better_than=("few_shot",))})


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    parts = [_run(tmp_path / name, few_shot={"choose": "random"})[1] for name in ("one", "two")]
    assert parts[0].equals(parts[1])
    files = [(tmp_path / name / "out" / "report" / "metrics.json").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_a_row_the_engine_leaves_out_is_an_error(tmp_path: Path) -> None:
    context = FakeContext(tmp_path)
    config = EvaluateLanguageConfig(task="chat", baselines=())
    writer = FakeWriter(_right)
    lossy = replace(writer)
    lossy.submit = lambda request: writer.submit(replace(request, conversations=request.conversations[1:]))  # type: ignore[method-assign]
    with pytest.raises(StepError, match="unanswered"):
        EvaluateLanguage(config, lambda *_: lossy, lambda *_: lossy).run(given(context, TRAIN, TEST), context)
    assert lossy.is_closed
