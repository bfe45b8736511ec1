"""Real data sets become conversations: every row kept or refused, and what is kept is what the file says."""

from __future__ import annotations

import ast
import csv
import html
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from tests.unit.data.context import FakeContext

from tunesmith.core.conversation import Conversation
from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts
from tunesmith.data import dataset
from tunesmith.data.config import IngestConfig
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.formats.stage import Format
from tunesmith.data.ingest import Ingest


@dataclass
class Real:
    """A data set, what is said of it, and what it must be."""

    path: str
    kind: str
    rows: int
    format: str
    mapping: dict[str, list[str]]
    told: dict[str, Any] = field(default_factory=dict)


SETS = [
    Real("e2e_nlg/devset.csv", "csv", 4672, "prompt_completion", {"prompt": ["mr"], "completion": ["ref"]}),
    Real("e2e_nlg/testset_w_refs.csv", "csv", 4693, "prompt_completion", {"prompt": ["mr"], "completion": ["ref"]}),
    Real("glaive_toolcall_demo/glaive_toolcall_en_demo.json", "json", 300, "sharegpt",
         {"messages": ["conversations"], "tools": ["tools"]}),
    Real("tau_bench_trajectories/gpt-4o-airline.json", "json", 200, "messages", {"messages": ["traj"]}),
    Real("tau_bench_trajectories/MockRetailDomainEnv-few_shot.jsonl", "jsonl", 69, "text",
         {"text": ["messages_display"]}, {"columns": {"text": "messages_display"}}),
    Real("fomc_minutes/*.txt", "text", 45, "text", {"text": ["text"]}, {"method": "continued_pretraining"}),
    Real("tinystories_sample/*.txt", "text", 1, "text", {"text": ["text"]}),
    Real("legal_summarization/all_v1.json", "json", 446, "prompt_completion",
         {"prompt": ["original_text"], "completion": ["reference_summary"]}),
    Real("pubmedqa/ori_pqal.json", "json", 1000, "prompt_completion",
         {"prompt": ["CONTEXTS", "QUESTION"], "completion": ["LONG_ANSWER"]},
         {"columns": {"prompt": ("CONTEXTS", "QUESTION"), "completion": "LONG_ANSWER"}, "lists": ("CONTEXTS",)}),
    Real("schema_guided_dialogue/dialogues_005.json", "json", 128, "messages", {"messages": ["turns"]},
         {"keys": {"role": "speaker", "content": "utterance"}, "roles": {"SYSTEM": "assistant"}}),
    Real("dolly_1k/databricks_dolly_15k.csv", "csv", 1000, "alpaca",
         {"instruction": ["instruction"], "output": ["response"], "input": ["context"]}),
    Real("gsm8k/test.jsonl", "jsonl", 1319, "prompt_completion", {"prompt": ["question"], "completion": ["answer"]}),
    Real("mts_dialog/MTS-Dialog-ValidationSet.csv", "csv", 100, "prompt_completion",
         {"prompt": ["dialogue"], "completion": ["section_text"]},
         {"columns": {"prompt": "dialogue", "completion": "section_text"}}),
    Real("humaneval/HumanEval.jsonl.gz", "jsonl", 164, "prompt_completion",
         {"prompt": ["prompt"], "completion": ["canonical_solution"]},
         {"columns": {"prompt": "prompt", "completion": "canonical_solution"}}),
    Real("scitldr/dev.jsonl", "jsonl", 619, "prompt_completion", {"prompt": ["source"], "completion": ["target"]},
         {"lists": ("source",)}),
]  # fmt: skip
LATER = {
    "hh_rlhf_harmless/harmless-base_test.jsonl.gz": ("jsonl", "preference pairs", "{text: chosen}"),
    "llmbar_preferences/Natural.json": ("json", "two answers with a verdict", "as `completion`"),
    "oasst_trees/en_100_tree.jsonl": ("jsonl", "trees of replies", "each path"),
    "bfcl_function_calling/BFCL_v4_live_simple.json": ("jsonl", "none of the known formats", "map the answers beside"),
    "schema_guided_dialogue/dialogues_007.json": ("json", "none of the known formats", "{messages: turns}, keys:"),
}


def formatted(path: Path, kind: str, folder: Path, **told: Any) -> tuple[Facts, pl.DataFrame, pl.DataFrame]:
    """The facts, the rows and the refused records of a file made conversations."""
    context = FakeContext(folder / "ingest")
    source: Any = {"name": "real", "kind": kind, "path": str(path)}
    given = Ingest(IngestConfig(source=source, required=())).run({}, context)["dataset"]
    read = context.artifact("dataset", "dataset", given)
    made = FakeContext(folder / "format")
    facts = Format(FormatConfig(source="real", **told)).run({"dataset": read}, made)["dataset"]
    artifact = made.artifact("dataset", "dataset", facts)
    rows, refused = dataset.scan(artifact).collect(), dataset.read_refused(artifact)
    assert facts["rows_read"] == given["rows_read"] == rows.height + refused.height
    assert facts["refused"] == dict(Counter(refused["reason"]))
    before = set(dataset.scan(read).collect()["row_id"])
    assert set(rows["row_id"]) <= before and rows["row_id"].n_unique() == rows.height
    return facts, rows, refused


def conversations(rows: pl.DataFrame) -> list[Conversation]:
    """The conversations of a table."""
    return [Conversation.read(*row) for row in rows.select("messages", "tools").iter_rows()]


def words(text: str | None) -> list[str]:
    """What a text says once it is repaired: white space, invisible characters and entities aside."""
    return html.unescape(re.sub("[\ufeff\u00ad\u200b]", "", text or "")).split()


@pytest.mark.parametrize("real", SETS, ids=lambda real: real.path)
def test_every_row_is_a_conversation(real: Real, shared_data: Path, tmp_path: Path) -> None:
    facts, rows, _ = formatted(shared_data / real.path, real.kind, tmp_path, **real.told)
    assert (facts["rows"], facts["refused"]) == (real.rows, {})
    seen = facts["conversations"]
    assert (seen["format"], seen["mapping"]) == (real.format, real.mapping)
    read = conversations(rows)
    assert Counter(turn.role for one in read for turn in one.turns) == seen["turns"]
    assert [one.messages_json() for one in read] == rows["messages"].to_list()
    assert all(any(turn.content or turn.tool_calls for turn in one.turns if turn.role == "assistant") for one in read)


@pytest.mark.parametrize("path", LATER)
def test_other_forms_are_refused_with_a_way_out(path: str, shared_data: Path, tmp_path: Path) -> None:
    kind, what, way_out = LATER[path]
    with pytest.raises(DataError, match=what) as caught:
        formatted(shared_data / path, kind, tmp_path)
    assert way_out in (caught.value.next or "")


def test_descriptions_are_those_of_the_file(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "e2e_nlg" / "devset.csv"
    _, rows, _ = formatted(path, "csv", tmp_path)
    with path.open(encoding="utf-8", newline="") as stream:
        theirs = [(record["mr"].strip(), record["ref"].strip()) for record in csv.DictReader(stream)]
    assert [tuple(turn.content for turn in one.turns) for one in conversations(rows)] == theirs


def test_calls_and_results_are_those_of_the_file(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "glaive_toolcall_demo" / "glaive_toolcall_en_demo.json"
    facts, rows, _ = formatted(path, "json", tmp_path)
    theirs = json.loads(path.read_text(encoding="utf-8"))
    for ours, their in zip(conversations(rows), theirs, strict=True):
        assert [one["function"] for one in ours.tools] == json.loads(their["tools"] or "[]")
        for turn, said in zip(ours.turns, their["conversations"], strict=True):
            if said["from"] == "function_call":
                called = json.loads(said["value"])
                (call,) = turn.tool_calls
                assert (turn.role, turn.content) == ("assistant", "")
                assert call["function"]["name"] == called["name"]
                assert json.loads(call["function"]["arguments"]) == called["arguments"]
            else:
                role = {"human": "user", "gpt": "assistant", "observation": "tool"}[said["from"]]
                assert (turn.role, words(turn.content)) == (role, words(said["value"]))
        ids = [call["id"] for turn in ours.turns for call in turn.tool_calls]
        assert [turn.tool_call_id for turn in ours.turns if turn.role == "tool"] == ids
    assert facts["conversations"]["tool_calls"] == 211 and facts["conversations"]["changed"] == {}


def test_trajectories_are_those_of_the_file(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "tau_bench_trajectories" / "gpt-4o-airline.json"
    facts, rows, _ = formatted(path, "json", tmp_path)
    theirs = json.loads(path.read_text(encoding="utf-8"))
    assert rows["reward"].to_list() == [one["reward"] for one in theirs]
    for ours, their in zip(conversations(rows), theirs, strict=True):
        for turn, message in zip(ours.turns, their["traj"], strict=True):
            assert (turn.role, words(turn.content)) == (message["role"], words(message["content"]))
            assert list(turn.tool_calls) == (message.get("tool_calls") or [])
            assert (turn.tool_call_id, turn.name) == (message.get("tool_call_id"), message.get("name"))
    # Each ends with the customer's last word, or with what the last tool gave.
    assert facts["conversations"]["changed"] == {"conversations that go on after the assistant's last turn": 200}


def test_documents_are_those_of_the_files(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "fomc_minutes"
    _, rows, _ = formatted(folder / "*.txt", "text", tmp_path, method="continued_pretraining")
    files = sorted(folder.glob("*.txt"))
    for ours, path in zip(rows["text"], files, strict=True):
        assert words(ours) == words(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "language"), [("all.en-fr.tmx", "fr"), ("all.en-es-419.tmx", "es-419")])
def test_translations_are_pairs_once_they_are_told(file: str, language: str, shared_data: Path, tmp_path: Path) -> None:
    units = ElementTree.parse(shared_data / "tico19_medical_translation" / file).getroot().iter("tu")
    key = "{http://www.w3.org/XML/1998/namespace}lang"
    pairs = [{one.attrib[key]: "".join(one.find("seg").itertext()) for one in unit.iter("tuv")} for unit in units]  # type: ignore[union-attr]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    with pytest.raises(DataError, match="none of the known formats") as caught:
        formatted(path, "jsonl", tmp_path / "untold")
    assert f"completion: {language}" in (caught.value.next or "") or "prompt: en" in (caught.value.next or "")
    columns = {"prompt": "en", "completion": language}
    facts, rows, refused = formatted(path, "jsonl", tmp_path, columns=columns)
    whole = [pair for pair in pairs if pair["en"].strip() and pair[language].strip()]
    assert (facts["rows"], refused.height) == (len(whole), len(pairs) - len(whole)) and len(pairs) == 3071
    for ours, pair in zip(conversations(rows), whole, strict=True):
        assert ours.turns[0].role == "user" and words(ours.turns[0].content) == words(pair["en"])
        assert len(ours.answer) >= 0.9 * len(pair[language].strip())


def test_code_keeps_its_indentation(shared_data: Path, tmp_path: Path) -> None:
    told = {"prompt": "prompt", "completion": "canonical_solution"}
    _, rows, _ = formatted(shared_data / "humaneval" / "HumanEval.jsonl.gz", "jsonl", tmp_path, columns=told)
    solutions = [(one.turns[0].content, one.answer) for one in conversations(rows)]
    assert sum(answer.startswith("    ") and "\n" in answer for _, answer in solutions) > 100
    for prompt, answer in solutions:
        if "\n" in answer:
            # The body of the function that the prompt begins is Python only where it is indented.
            ast.parse(f"{prompt}\n{answer}\n")
