"""Stage ``baselines``: fits the cheap predictors that a fine-tuned model must beat, and keeps what they predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from tunesmith.core import wiring
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.evaluation.baselines.rows import Baseline, Rows
from tunesmith.evaluation.config import BaselinesConfig

PREDICTED = ("validation", "test")
"""The splits predicted, in the order of the file."""
PREDICTIONS = "predictions.parquet"


class Baselines:
    """Fits each baseline on the train rows and predicts the validation and test rows."""

    makes: ClassVar[dict[str, str]] = {"baselines": "baselines"}

    def __init__(self, config: BaselinesConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> dict[str, Facts]:
        """The facts of the baselines; their predictions lie in ``predictions.parquet``."""
        splits = {name: pl.read_parquet(given["splits"].path / f"{name}.parquet") for name in ("train", *PREDICTED)}
        if not splits["train"].height:
            raise DataError("there is no train row to fit a baseline on", next="look at what `tunesmith plan` removes")
        baselines = {name: self._open(name) for name in self.config.names}
        needing = [name for name, baseline in baselines.items() if baseline.needs_features]
        if needing and "activations" not in given:
            raise RecipeError(f"the baselines {', '.join(needing)} need the step `features` before them")
        features = _features(given["activations"].path) if needing else {}
        names = given["splits"].facts.get("labels", ())
        rows = {name: self._rows(frame, features.get(name), names) for name, frame in splits.items()}

        table = pl.concat(
            splits[name].select(pl.lit(name).alias("split"), pl.col("row_id").cast(pl.String)) for name in PREDICTED
        )
        for done, (name, baseline) in enumerate(baselines.items()):
            context.check_cancelled()
            context.progress(done, len(baselines), "baselines", name)
            baseline.fit(rows["train"], rows["validation"])
            parts = [part for split in PREDICTED for part in self._predict(baseline, rows[split])]
            dtype: Any = pl.String if self.config.task == "classify" else pl.Float64
            if rows["train"].targets.ndim == 2:
                dtype = pl.List(pl.Float64)
            table = table.with_columns(pl.Series(name, parts, dtype=dtype))
        context.progress(len(baselines), len(baselines), "baselines")

        folder = context.out / "baselines"
        folder.mkdir(parents=True, exist_ok=True)
        table.write_parquet(folder / PREDICTIONS)
        return {
            "baselines": {
                "names": list(baselines),
                "settings": {name: baseline.settings for name, baseline in baselines.items()},
            }
        }

    @staticmethod
    def _open(name: str) -> Baseline:
        made: Baseline = wiring.load(wiring.wire("baseline", name).make)()
        return made

    def _rows(self, frame: pl.DataFrame, features_ND: Any, names: Sequence[str]) -> Rows:
        if features_ND is not None and len(features_ND) != frame.height:
            raise DataError(
                "the activations are not those of these rows", seen=f"{len(features_ND)} vectors, {frame.height} rows"
            )
        texts, labels = frame["text"].to_list(), frame["label"].to_list()
        if self.config.task == "tag":
            place = {name: at for at, name in enumerate(names)}
            has_NC = np.zeros((len(texts), len(place)), bool)
            for row, given_ in enumerate(labels):
                has_NC[row, [place[name] for name in given_ if name in place]] = True
            return Rows(texts, has_NC, features_ND)
        kind = float if self.config.task == "regress" else str
        return Rows(texts, np.array(labels, dtype=kind), features_ND)

    @staticmethod
    def _predict(baseline: Baseline, rows: Rows) -> list[Any]:
        predicted: list[Any] = baseline.predict(rows).tolist() if rows.texts else []
        return predicted


def _features(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(folder / "features.safetensors"))
