"""The table of metrics: what each is called, which way is better, and when it has no value."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tunesmith.core.errors import RecipeError
from tunesmith.core.tasks import LANGUAGE_TASKS, HeadTask, Task
from tunesmith.metrics import classification, generation, multilabel, regression
from tunesmith.metrics.regression import Pairs


@dataclass(frozen=True)
class Metric:
    """One metric of one task; call it with targets and predictions for its value."""

    name: str
    task: Task
    compute: Callable[[Any], NDArray[np.float64]]
    """From the task's summary (``summarize``) to the value, one per resample."""
    higher_is_better: bool = True
    undefined: str = ""
    """Why the value can be nan."""
    same_to_it: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    """Brings predictions of any scale to a common one that this metric cannot tell from theirs."""
    is_share: bool = True
    """Whether it is a share: then 0 and 1 are its ends."""
    num_rows: Callable[[NDArray[Any]], int] = len
    """The rows it is measured on, of one predictor's."""

    def __call__(self, targets: ArrayLike, predictions: ArrayLike) -> float:
        """The value over all rows; nan where it has none."""
        return float(self.compute(summarize(self.task, targets, predictions)))

    @property
    def doc(self) -> str:
        """What it is, in a sentence."""
        return (self.compute.__doc__ or "").strip().splitlines()[0]


def _ranks(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    if values_N.ndim == 2:
        return np.stack([_ranks(column_N) for column_N in values_N.T], axis=1)
    return regression.midranks(values_N, np.ones(len(values_N)))


def _standardized(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    if values_N.ndim == 2:
        return np.stack([regression.standardized(column_N) for column_N in values_N.T], axis=1)
    return regression.standardized(values_N)


def _over_targets(compute: Callable[[Pairs], NDArray[np.float64]]) -> Callable[[Pairs], NDArray[np.float64]]:
    """A metric of one target made the mean over several; nan where one of them has no value."""

    @functools.wraps(compute)
    def over_targets(rows: Pairs) -> NDArray[np.float64]:
        if rows.targets_N.ndim == 1:
            return compute(rows)
        return np.asarray(np.mean([compute(one) for one in rows.by_target()], axis=0))

    return over_targets


def _regress(name: str, compute: Callable[[Pairs], NDArray[np.float64]], **more: Any) -> Metric:
    return Metric(name, "regress", _over_targets(compute), is_share=False, **more)


def _scored(name: str, compute: Callable[[Any], NDArray[np.float64]]) -> list[Metric]:
    """A metric of how well answers are predicted."""
    more: dict[str, Any] = {"num_rows": generation.num_scored, "undefined": "no token of an answer was scored"}
    return [Metric(name, task, compute, higher_is_better=False, is_share=False, **more) for task in LANGUAGE_TASKS]


def _written(
    name: str,
    compute: Callable[[Any], NDArray[np.float64]],
    tasks: Sequence[Task] = LANGUAGE_TASKS,
    undefined: str = "no answer was written",
    is_share: bool = True,
) -> list[Metric]:
    """A metric of answers that the model wrote."""
    more: dict[str, Any] = {"num_rows": generation.num_written, "undefined": undefined, "is_share": is_share}
    return [Metric(name, task, compute, **more) for task in tasks]


_CONSTANT = "all targets or all predictions are equal, so there is nothing to correlate"
_NO_WORDS = "no reference of a written answer has a word of a-z or 0-9, all that ROUGE counts"

_ALL = [
    Metric("accuracy", "classify", classification.accuracy),
    Metric("f1_macro", "classify", classification.f1_macro),
    Metric("f1_micro", "classify", classification.f1_micro),
    Metric("f1_weighted", "classify", classification.f1_weighted),
    Metric("precision_macro", "classify", classification.precision_macro),
    Metric("precision_micro", "classify", classification.precision_micro),
    Metric("precision_weighted", "classify", classification.precision_weighted),
    Metric("recall_macro", "classify", classification.recall_macro),
    Metric("recall_micro", "classify", classification.recall_micro),
    Metric("recall_weighted", "classify", classification.recall_weighted),
    Metric("f1_macro", "tag", multilabel.f1_macro),
    Metric("f1_micro", "tag", multilabel.f1_micro),
    Metric("f1_samples", "tag", multilabel.f1_samples),
    Metric("precision_macro", "tag", multilabel.precision_macro),
    Metric("precision_micro", "tag", multilabel.precision_micro),
    Metric("recall_macro", "tag", multilabel.recall_macro),
    Metric("recall_micro", "tag", multilabel.recall_micro),
    Metric("subset_accuracy", "tag", multilabel.subset_accuracy),
    Metric("hamming_loss", "tag", multilabel.hamming_loss, higher_is_better=False),
    Metric("average_precision", "tag", multilabel.average_precision, undefined="no row has any label"),
    _regress("mse", regression.mse, higher_is_better=False),
    _regress("rmse", regression.rmse, higher_is_better=False),
    _regress("mae", regression.mae, higher_is_better=False),
    _regress("r2", regression.r2, undefined="all targets are equal, so there is no variance to explain"),
    _regress("pearson", regression.pearson, undefined=_CONSTANT, same_to_it=_standardized),
    _regress("spearman", regression.spearman, undefined=_CONSTANT, same_to_it=_ranks),
    *_written("chrf", generation.chrf, is_share=False),
    *_written("bleu", generation.bleu, is_share=False),
    *_written("rouge1", generation.rouge1, undefined=_NO_WORDS),
    *_written("rouge2", generation.rouge2, undefined=_NO_WORDS),
    *_written("rougeL", generation.rouge_l, undefined=_NO_WORDS),
    *_written("exact_match", generation.exact_match),
    *_written("token_f1", generation.token_f1),
    *_written("json_valid", generation.json_valid, ("extract",)),
    *_written("field_accuracy", generation.field_accuracy, ("extract",), "no reference of a written answer is JSON"),
    *_scored("bits_per_byte", generation.bits_per_byte),
    *_scored("perplexity", generation.perplexity),
]

METRICS: dict[str, Metric] = {one.name: next(two for two in _ALL if two.name == one.name) for one in _ALL}
"""A metric by its name alone, whatever the task: tasks that share a name agree in direction."""

SHARES_OF_ROWS = frozenset({"accuracy", "f1_micro", "precision_micro", "recall_micro"})
"""With one label a row (``classify``) these are one number: the share of rows predicted right."""

PRIMARY: dict[Task, str] = {
    "classify": "f1_macro",
    "tag": "f1_macro",
    "regress": "mse",
    "chat": "bits_per_byte",
    "generate": "chrf",
    "summarise": "rougeL",
    "translate": "chrf",
    "extract": "field_accuracy",
}
"""The metric a verdict rests on where the recipe names none. Macro F1 does not let a frequent class hide a rare one.
Mean squared error is what regression trains, and, unlike a correlation, it has a value for the constant ``mean``
baseline and punishes predictions that are off in level or scale. Of several targets it is the mean over targets, each
in deviations of its training rows, so that no target counts more for being written in smaller units.
A chat has many good answers that share no words with the one that stands there, so what counts is how well that one is
predicted, by the byte, for tokenizers differ. ``generate`` and ``translate`` rest on chrF: it needs no tokenizer, holds
for every script, and agrees with people's judgement better than BLEU (Popović 2015; Kocmi et al. 2021). Summaries are
compared by ROUGE-L as is customary (Lin 2004), extractions field by field."""

WATCHED: dict[HeadTask, str] = {
    "classify": PRIMARY["classify"],
    "tag": "average_precision",
    "regress": PRIMARY["regress"],
}
"""The metric that chooses the best checkpoint where the recipe names none. For ``tag`` one that needs no threshold: the
thresholds are tuned on the same rows afterwards, and at 0.5 a rare label scores 0 long after it is ranked well."""


def of_task(task: Task) -> dict[str, Metric]:
    """The metrics of a task by name."""
    return {metric.name: metric for metric in _ALL if metric.task == task}


def scores(task: Task, targets: ArrayLike, predictions: ArrayLike) -> dict[str, float]:
    """Every metric of a task over all rows; nan where one has no value."""
    summary = summarize(task, targets, predictions)
    return {name: float(metric.compute(summary)) for name, metric in of_task(task).items()}


def find(name: str, task: Task) -> Metric:
    """The metric of that name.

    Raises: RecipeError naming the nearest metric of the task.
    """
    known = of_task(task)
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else None
    raise RecipeError(f"there is no metric `{name}` for `{task}`", seen=name, allowed=", ".join(known), next=hint)


def summarize(task: Task, targets: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> Any:
    """What every metric of a task is computed from; ``weights`` (X, N) say how often each row counts."""
    return _SUMMARIES[task](targets, predictions, weights)


_SUMMARIES: dict[Task, Callable[..., Any]] = {
    "classify": classification.tally,
    "tag": multilabel.tags,
    "regress": regression.pairs,
    **dict.fromkeys(LANGUAGE_TASKS, generation.totals),
}
