"""The stage ``label_errors``: rows whose label a model that never saw them finds unlikely.

Source: Northcutt, Jiang, Chuang, "Confident learning", JAIR 2021, by cleanlab; on banking77 with 5 % of its labels
flipped at random the least likely half of what it lists was flipped without exception (docs/log.md).

Shapes: N rows, C classes, D features.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.data.clean import comparable
from tunesmith.data.labels.config import LabelErrorsConfig
from tunesmith.data.near import NearTexts

SPLITS = ("train", "validation", "test")
INVERSE_PENALTY = 10.0
"""Of the logistic regression over features of length 1; 1 to 30 find the same errors on banking77."""
MOST_PAIRS = 20
"""Pairs of labels mistaken for each other that the facts list."""
SUSPECTS, CONFLICTS = "suspects.parquet", "conflicts.parquet"


@dataclass(frozen=True)
class Judged:
    """Rows with the probability of each label by a model that never saw them."""

    rows: pl.DataFrame
    """``split, row_id, source_id, text, label``."""
    probabilities_NC: NDArray[np.float64]
    labels: tuple[str, ...]


class LabelErrors:
    """Lists likely label errors, near-duplicate texts with different labels, and labels with too few rows."""

    makes: ClassVar[Mapping[str, str]] = {"label_errors": "label_errors"}

    def __init__(self, config: LabelErrorsConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts; `suspects.parquet` and `conflicts.parquet` hold the rows, the least likely labels first."""
        from safetensors.numpy import load_file

        frames = {name: pl.read_parquet(given["splits"].path / f"{name}.parquet") for name in SPLITS}
        features = load_file(given["activations"].path / "features.safetensors")
        counts = frames["train"]["label"].value_counts().sort("label")
        small = {label: n for label, n in counts.iter_rows() if n < self.config.folds}
        labels = tuple(label for label in counts["label"] if label not in small)
        if len(labels) < 2:
            raise DataError(
                "there are too few labels with enough rows to look for wrong ones",
                seen=f"{len(labels)} labels with {self.config.folds} training rows or more",
                next="lower `data.label_errors.folds`, or leave `data.label_errors` out",
            )
        judged = self._judge(frames, {name: _unit(features[name]) for name in SPLITS}, labels, context)
        suspects = _suspects(judged)
        conflicts = _conflicts(frames["train"], self.config.near)
        folder = context.out / "label_errors"
        folder.mkdir(parents=True, exist_ok=True)
        suspects.write_parquet(folder / SUSPECTS)
        conflicts.write_parquet(folder / CONFLICTS)
        facts = _facts(judged, suspects, conflicts, small, frames)
        (folder / "label_errors.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), "utf-8")
        return {"label_errors": facts}

    def _judge(
        self,
        frames: Mapping[str, pl.DataFrame],
        units: Mapping[str, NDArray[np.float64]],
        labels: tuple[str, ...],
        context: StepContext,
    ) -> Judged:
        from sklearn.model_selection import StratifiedKFold

        parts: list[pl.DataFrame] = []
        probabilities: list[NDArray[np.float64]] = []
        place = {label: at for at, label in enumerate(labels)}
        known = {name: frame["label"].is_in(labels).to_numpy() for name, frame in frames.items()}
        train_ND = units["train"][known["train"]]
        codes_N = np.array([place[label] for label in frames["train"]["label"].to_list() if label in place])
        judged_NC = np.zeros((len(codes_N), len(labels)))
        folds = StratifiedKFold(self.config.folds, shuffle=True, random_state=context.seed)
        for done, (fit_at, judge_at) in enumerate(folds.split(train_ND, codes_N)):
            context.check_cancelled()
            context.progress(done, self.config.folds + 1, "folds", "judging labels")
            judged_NC[judge_at] = _fitted(train_ND[fit_at], codes_N[fit_at]).predict_proba(train_ND[judge_at])
        model = _fitted(train_ND, codes_N)
        for name in SPLITS:
            parts.append(
                frames[name]
                .filter(known[name])
                .select(pl.lit(name).alias("split"), "row_id", "source_id", "text", "label")
            )
            rows_ND = units[name][known[name]]
            if name == "train":
                probabilities.append(judged_NC)
            elif len(rows_ND):
                probabilities.append(model.predict_proba(rows_ND))
        context.progress(self.config.folds + 1, self.config.folds + 1, "folds", "judging labels")
        return Judged(pl.concat(parts), np.concatenate(probabilities), labels)


def _fitted(features_ND: NDArray[np.float64], codes_N: NDArray[np.int64]) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=INVERSE_PENALTY, max_iter=300).fit(features_ND, codes_N)


def _unit(vectors_ND: NDArray[Any]) -> NDArray[np.float64]:
    """The vectors at length 1; a vector of zeros stays."""
    vectors_ND = vectors_ND.astype(np.float64)
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return np.asarray(vectors_ND / np.where(length_N1 > 0, length_N1, 1))


def _suspects(judged: Judged) -> pl.DataFrame:
    """The likely errors of every split, the least likely label first."""
    from cleanlab.filter import find_label_issues

    place = {label: at for at, label in enumerate(judged.labels)}
    codes_N = np.array([place[label] for label in judged.rows["label"].to_list()])
    is_suspect_N = find_label_issues(codes_N, judged.probabilities_NC, n_jobs=1)
    own_N = judged.probabilities_NC[np.arange(len(codes_N)), codes_N]
    best_N = judged.probabilities_NC.argmax(1)
    return (
        judged.rows.with_columns(
            pl.Series("suggested", [judged.labels[at] for at in best_N]),
            pl.Series("label_probability", own_N),
            pl.Series("suggested_probability", judged.probabilities_NC.max(1)),
        )
        # A row whose own label is still the likeliest is unusual, not wrong.
        .filter(pl.Series(is_suspect_N) & (pl.col("suggested") != pl.col("label")))
        .sort("label_probability", "row_id")
    )


def _conflicts(train: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Pairs of training rows with nearly the same text and different labels."""
    near = NearTexts(train.select(comparable(pl.col("text")))["text"], threshold)
    labels = train["label"].to_list()
    found = near.repeats(sorted(near.candidates), lambda row, earlier: bool(labels[row] != labels[earlier]))
    columns = {
        "row_id": [train["row_id"][row] for row in found],
        "text": [train["text"][row] for row in found],
        "label": [labels[row] for row in found],
        "other_row_id": [train["row_id"][earlier] for earlier in found.values()],
        "other_text": [train["text"][earlier] for earlier in found.values()],
        "other_label": [labels[earlier] for earlier in found.values()],
    }
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String()))


def _facts(
    judged: Judged,
    suspects: pl.DataFrame,
    conflicts: pl.DataFrame,
    small: Mapping[str, int],
    frames: Mapping[str, pl.DataFrame],
) -> Facts:
    pairs = Counter(zip(suspects["label"].to_list(), suspects["suggested"].to_list(), strict=True))
    rows = {name: frame.height for name, frame in frames.items()}
    checked = {name: int((judged.rows["split"] == name).sum()) for name in SPLITS}
    in_train = suspects.filter(pl.col("split") == "train")
    per_label = Counter(in_train["label"].to_list())
    return {
        "rows": rows,
        "checked": checked,
        "suspects": {name: int((suspects["split"] == name).sum()) for name in SPLITS},
        "by_label": {label: per_label[label] for label in sorted(per_label, key=lambda name: (-per_label[name], name))},
        "pairs": [
            {"label": label, "suggested": suggested, "rows": n}
            for (label, suggested), n in sorted(pairs.items(), key=lambda one: (-one[1], one[0]))[:MOST_PAIRS]
        ],
        "conflicts": conflicts.height,
        "small_labels": dict(small),
    }
