"""The stage `texts`: the texts of rows that are divided already, for a pre-training that must not see test rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.source import Batch
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.data import dataset
from tunesmith.data.config import LabelledTextsConfig
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.outside import OUTSIDE
from tunesmith.data.prepare_config import SplitName
from tunesmith.data.split import SPLITS

SLICE_ROWS = 10_000


class LabelledTexts:
    """Makes a dataset of one source's texts, each with its split; labels stay behind."""

    makes: ClassVar[Mapping[str, str]] = {"dataset": "dataset"}

    def __init__(self, config: LabelledTextsConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the dataset. Rows out of scope are test rows here: nothing is ever trained on them."""
        splits, source = given["splits"], self.config.source
        num_by_split = dict.fromkeys(SPLITS, 0)

        def batches() -> Iterator[Batch]:
            for split, frame in self._frames(splits):
                num_by_split[split] += frame.height
                for part in frame.iter_slices(SLICE_ROWS):
                    context.check_cancelled()
                    columns = {name: part[name].to_list() for name in part.columns}
                    yield Batch({**columns, "split": [split] * part.height}, ())

        manifest = dataset.write_dataset(context.out / "dataset", batches(), ["text", "split"])
        facts: Facts = {
            "source": source,
            "columns": [name for name in manifest.columns if name not in LINEAGE],
            "rows_read": manifest.rows,
            "rows": manifest.rows,
            "refused": {},
            "by_split": num_by_split,
        }
        return {"dataset": facts | {name: splits.facts[name] for name in ("privacy",) if splits.facts.get(name)}}

    def _frames(self, splits: Artifact) -> Iterator[tuple[SplitName, pl.DataFrame]]:
        config = self.config
        columns = [*LINEAGE, "text", *((config.group_by,) if config.group_by else ())]
        files: list[tuple[SplitName, str]] = [*((name, f"{name}.parquet") for name in SPLITS), ("test", OUTSIDE)]
        for split, name in files:
            path = splits.path / name
            if path.is_file():
                is_ours = pl.col("source_id") == config.source
                yield split, pl.scan_parquet(path).filter(is_ours).select(list(dict.fromkeys(columns))).collect()
