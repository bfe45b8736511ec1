"""Rows of a language model are never all in memory: four times the rows need as much memory as one time.

``TUNESMITH_ROWS`` raises the number of rows (4,000 here, of 20 kB).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests import tiny
from tests.step_process import StepServer
from tests.word_tokens import write_word_tokenizer

from tunesmith.core.artifact import Artifact
from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.source import Batch
from tunesmith.data import dataset
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.row_groups import write_table
from tunesmith.training.language.tokens_config import TokensConfig

NUM_ROWS = int(os.environ.get("TUNESMITH_ROWS", "4000"))
FORMAT_TIMES = 4
"""The format step holds shards of 64 MB: more rows before they are what it needs most memory for."""
TIMES = 4
MOST_GROWTH = 0.2
"""Of the text that is more: were it all held, it would be above 1, and above 2 with the messages made of it."""
WORDS = " ".join(letter * 5000 for letter in "abcd")
"""20 kB in four tokens: much to hold, little to do."""


def tokens_given(folder: Path, num_rows: int) -> dict[str, Artifact]:
    model = folder / "base"
    special = ("<s>", "</s>")
    write_word_tokenizer(model / "files", [WORDS, " ".join("0123456789"), "\n"], special, bos="<s>", eos="</s>")
    facts = {"network": "decoder", "max_positions": 1024, "max_tokens": 1024, "num_vocabulary": 1000}
    messages = Conversation((Turn("user", f"{WORDS} NUMBER"), Turn("assistant", "c"))).messages_json()
    before, after = messages.split("NUMBER")
    numbers = pl.DataFrame({"number": range(num_rows)})
    splits = folder / "splits"
    splits.mkdir()
    for name, share in (("train", num_rows), ("validation", 8), ("test", 8)):
        frame = numbers.head(share).select(
            row_id=pl.format("row-{}", "number"),
            source_id=pl.lit("own"),
            text=pl.format("{} {}", pl.lit(WORDS), "number"),
            messages=pl.format("{}{}{}", pl.lit(before), "number", pl.lit(after)),
            tools=pl.lit(None, pl.String),
        )
        write_table(frame, splits / f"{name}.parquet")
    return {
        "base": tiny.artifact("base", "base", model, facts),
        "splits": tiny.artifact("splits", "splits", splits, {"splits": {"train": num_rows}}),
    }


def format_given(folder: Path, num_rows: int) -> dict[str, Artifact]:
    def batches() -> Any:
        for first in range(0, num_rows, 100):
            ids = [f"row-{number}" for number in range(first, first + 100)]
            yield Batch(
                {
                    "row_id": ids,
                    "source_id": ["own"] * 100,
                    "subject": [None] * 100,
                    "parents": [[]] * 100,
                    "instruction": [f"{WORDS} {one}" for one in ids],
                    "output": ["c"] * 100,
                },
                (),
            )

    manifest = dataset.write_dataset(folder / "dataset", batches())
    facts = {"columns": ["instruction", "output"], "rows": manifest.rows, "refused": {}}
    return {"dataset": tiny.artifact("dataset", "dataset", folder / "dataset", facts)}


CASES = {
    "tokens-sft": ("tokens", TokensConfig(task="generate"), tokens_given),
    "tokens-texts": ("tokens", TokensConfig(task="generate", method="continued_pretraining"), tokens_given),
    "format": ("format", FormatConfig(source="own"), format_given),
}


@pytest.mark.slow  # hundreds of MB of text: two minutes on two free cores
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", CASES)
def test_more_rows_need_no_more_memory(case: str, step_server: StepServer, tmp_path: Path) -> None:
    stage, config, given_of = CASES[case]
    peaks_mb = []
    few = NUM_ROWS * (FORMAT_TIMES if stage == "format" else 1)
    for num_rows in (few, TIMES * few):
        folder = tmp_path / str(num_rows)
        folder.mkdir()
        given = given_of(folder, num_rows)
        assert step_server.run(stage, config, given, folder) == 0, (folder / "error.json").read_text()
        (facts,) = json.loads((folder / "result.json").read_text())["facts"].values()
        assert facts["by_split"]["train"]["kept"] == num_rows if stage == "tokens" else facts["rows"] == num_rows
        peaks_mb.append(step_server.peak_mb)
    more_mb = (TIMES - 1) * few * len(WORDS) / 1e6
    print(f"\n{case}: {more_mb:.0f} MB of text more, {peaks_mb[1] - peaks_mb[0]:.0f} MB of memory more ({peaks_mb})")
    assert peaks_mb[1] - peaks_mb[0] < MOST_GROWTH * more_mb
