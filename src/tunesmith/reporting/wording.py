"""Numbers, times, names and texts as people read them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

NOT_MEASURED = "not measured"
MINUS = "−"
EXCERPT_CHARS = 280

METRICS = {
    "accuracy": "Accuracy",
    "f1_macro": "Macro F1",
    "f1_micro": "Micro F1",
    "f1_weighted": "Weighted F1",
    "precision_macro": "Macro precision",
    "precision_micro": "Micro precision",
    "precision_weighted": "Weighted precision",
    "recall_macro": "Macro recall",
    "recall_micro": "Micro recall",
    "recall_weighted": "Weighted recall",
    "f1_samples": "F1 of a row's labels",
    "subset_accuracy": "All labels of a row right",
    "hamming_loss": "Wrong decisions",
    "average_precision": "Average precision",
    "mse": "Mean squared error",
    "rmse": "Root mean squared error",
    "mae": "Mean absolute error",
    "r2": "R²",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "loss": "Loss",
    "chrf": "chrF",
    "bleu": "BLEU",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "exact_match": "Exact match",
    "token_f1": "Token F1",
    "json_valid": "Valid JSON",
    "field_accuracy": "Field accuracy",
    "bits_per_byte": "Bits per byte",
    "perplexity": "Perplexity",
}
BASELINES = {
    "majority": ("majority", "always the most frequent label"),
    "mean": ("mean", "always the mean of the training targets"),
    "base_centroid": ("base_centroid", "the untrained model, nearest class mean"),
    "base_logistic": ("base_logistic", "the untrained model, logistic regression on it"),
    "base_ridge": ("base_ridge", "the untrained model, ridge regression on it"),
    "tfidf": ("TF-IDF", "words counted, linear model on them"),
    "base": ("base", "the untrained model, asked alike"),
    "champion": ("champion", "the model in production before this one"),
    "few_shot": ("few-shot", "the untrained model, examples before the prompt"),
}
_KEPT_FORMAT = {"\u200c", "\u200d"}
"""Joiners inside emoji and words of some scripts: no text reads right without them."""


def is_number(value: Any) -> bool:
    """Whether this is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, signed: bool = False) -> str:
    """A score in three decimals where it is small: 0.913, +0.08, 1,240; "not measured" where there is none."""
    if not is_number(value):
        return NOT_MEASURED
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    text = f"{value:{'+' if signed else ''},.{digits}f}"
    if value and not float(text.replace(",", "")):
        text = f"{value:{'+' if signed else ''}.1e}"
    return text.replace("-", MINUS)


def count(value: Any) -> str:
    """A count with thousands marked: 3,080."""
    return f"{round(value):,}".replace("-", MINUS) if is_number(value) else NOT_MEASURED


def counted(value: int, one: str, many: str | None = None) -> str:
    """A count with its noun: 1 row, 12 rows."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def share(value: Any) -> str:
    """A share as per cent; 100 % and 0 % are said only of all and of none."""
    if not is_number(value):
        return NOT_MEASURED
    if 0 < value < 0.001:
        return "< 0.1 %"
    if 0.999 < value < 1:
        return "> 99.9 %"
    return f"{100 * value:.{0 if (value >= 0.1 and round(100 * value) < 100) or value in (0, 1) else 1}f} %"


def span(interval: Mapping[str, Any], signed: bool = False) -> str:
    """An interval: 0.862 to 0.950."""
    low, high = interval.get("low"), interval.get("high")
    largest = max((abs(end) for end in (low, high) if end is not None and is_number(end)), default=0.0)
    if is_number(low) and is_number(high) and 0.001 <= largest < 10:
        # Both ends in the same decimals: +0.000 to +0.112 rather than +2.2e-04 to +0.112.
        sign = "+" if signed else ""
        return f"{low:{sign}.3f} to {high:{sign}.3f}".replace("-", MINUS)
    return f"{number(low, signed)} to {number(high, signed)}"


def seconds(value: Any) -> str:
    """A duration: 0.09 s, 11 s, 3 min 20 s, 2 h 05 min."""
    if not is_number(value):
        return NOT_MEASURED
    if value < 10:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def size(value: Any) -> str:
    """A size in memory: 684 MB, 25.3 GB."""
    if not is_number(value):
        return NOT_MEASURED
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= unit:
            return f"{value / unit:.{1 if name == 'GB' else 0}f} {name}"
    return f"{value:.0f} B"


def moment(iso: str) -> str:
    """A time: 21 November 2026, 09:26 UTC; as it was given where it is no ISO time."""
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def metric(name: str) -> str:
    """A metric's name as people say it."""
    return METRICS.get(name, name)


def baseline(name: str) -> str:
    """A baseline's short name."""
    return BASELINES.get(name, (name, ""))[0]


def baseline_means(name: str) -> str:
    """What a baseline does, in a few words."""
    return BASELINES.get(name, (name, ""))[1]


def model_name(name: str) -> str:
    """A base model as it is spoken of: of a folder its own name, of the Hub owner and name."""
    is_folder = name.startswith(("/", ".", "~")) or name[1:3] in (":/", ":\\")
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] if is_folder else name


def listed(names: Sequence[str], word: str = "and") -> str:
    """Names in a sentence: a, b and c."""
    return f" {word} ".join([*([", ".join(names[:-1])] if names[:-1] else []), *names[-1:]])


def visible(text: str) -> str:
    """The text with characters that act instead of showing (controls, direction overrides) named as ⟨U+202E⟩."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char) for char in text)


def excerpt(text: Any, limit: int = EXCERPT_CHARS) -> str:
    """A text on one line, bounded; how much was left out is said."""
    whole = " ".join(visible(str(text).replace("\r", " ").replace("\n", " ↵ ").replace("\t", " ")).split())
    return whole if len(whole) <= limit else f"{whole[:limit].rstrip()} … ({len(whole) - limit:,} more characters)"


def bounded(text: Any, limit: int) -> str:
    """A text with its lines as they are, bounded; how much was left out is said."""
    whole = visible(str(text).replace("\r\n", "\n").strip())
    return whole if len(whole) <= limit else f"{whole[:limit].rstrip()} … ({len(whole) - limit:,} more characters)"


def _shown(char: str) -> str:
    if char in "\n\t" or char in _KEPT_FORMAT:
        return char
    category = unicodedata.category(char)
    return f"⟨U+{ord(char):04X}⟩" if category in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else char
