"""Conversations go through `prepare` as they were made: what is trained is what was compared."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from tests.unit.data.context import FakeContext
from tests.unit.data.formats.formatted import chat, made

from tunesmith.core.conversation import Conversation
from tunesmith.data import dataset
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.formats.readable import readable
from tunesmith.data.formats.stage import Format
from tunesmith.data.prepare import Prepare
from tunesmith.data.prepare_config import CleanConfig, PrepareConfig

ARGUMENTS = json.dumps({"q": "say &quot;hi&quot;  caf\u00c3\u00a9"}, ensure_ascii=False)


def test_json_stays_json_and_every_row_is_counted(tmp_path: Path) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "find", "arguments": ARGUMENTS}}
    rows = [
        [
            {"role": "user", "content": f"Question {at} about topic {at * 7919} &amp; more:\n\n    code  {at}"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": f'{{"at": {at}}}', "tool_call_id": "a"},
            {"role": "assistant", "content": f"Answer {at * 31} is {at}."},
        ]
        for at in range(40)
    ]
    rows += [chat("no answer"), chat("Question", "")]
    tools = [[{"name": "find", "description": "uses &quot;x&quot;  &amp; y"}]] * len(rows)
    context = FakeContext(tmp_path / "format")
    given = {"dataset": made(tmp_path / "given", {"messages": rows, "tools": tools})}
    facts = Format(FormatConfig(source="chats")).run(given, context)["dataset"]
    conversations = context.artifact("dataset", "dataset", facts)
    out = FakeContext(tmp_path / "prepare")
    config = PrepareConfig(task="chat", clean=CleanConfig(whitespace=False))
    splits = Prepare(config).run({"chats": conversations}, out)["splits"]
    folder = out.out / "splits"
    kept = pl.concat([pl.read_parquet(folder / f"{name}.parquet") for name in ("train", "validation", "test")])
    assert splits["rows"] == {"read": 42, "kept": 40, "removed": 0, "quarantined": 2}
    assert splits["quarantined"] == {"empty content of a turn: assistant": 1, "no assistant turn": 1}
    before = dataset.scan(conversations).collect().select("row_id", "text", "messages", "tools")
    assert kept.select(before.columns).sort("row_id").equals(before.sort("row_id"))
    for text, *texts in kept.select("text", "messages", "tools").iter_rows():
        read = Conversation.read(*texts)
        assert text == readable(read) and "&amp;" not in text and "\n\n    code  " in text
        assert read.turns[1].tool_calls[0]["function"]["arguments"] == ARGUMENTS
        assert read.tools[0]["function"]["description"] == "uses &quot;x&quot;  &amp; y"
    assert splits["repair"] == {"unicode": True, "whitespace": True}
