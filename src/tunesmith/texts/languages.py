"""The language of texts, by py3langid's model, many texts at once."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

UNDETERMINED = "und"
BATCH_ROWS = 4096
DENSE = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"
"""Characters that say about as much as four letters."""


def languages(texts: pl.Series, min_letters: int, min_confidence: float) -> pl.Series:
    """The code of each text's language, `und` where it is too short or not sure."""
    letters = texts.str.count_matches(r"\p{L}") + 3 * texts.str.count_matches(DENSE)
    judged = np.flatnonzero((letters >= min_letters).fill_null(False).to_numpy())
    # Texts of a length walk through the model side by side.
    judged = judged[np.argsort(texts.str.len_bytes().fill_null(0).to_numpy()[judged], kind="stable")]
    codes = np.full(len(texts), UNDETERMINED, dtype=object)
    for at in range(0, len(judged), BATCH_ROWS):
        rows = judged[at : at + BATCH_ROWS]
        found, confidence = classified(texts.gather(rows).to_list())
        codes[rows] = np.where(confidence >= min_confidence, found, UNDETERMINED)
    return pl.Series("language", codes.tolist(), dtype=pl.String)


def classified(texts: list[str]) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """The likeliest language of each text and its probability: what py3langid says of each alone."""
    model = loaded()
    data = [_encoded(text) for text in texts]
    lengths = np.array([len(one) for one in data])
    scores = _scores(model, data, lengths) / np.sqrt(np.maximum(lengths, 1))[:, None].astype(np.float32)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    for first, again in model._alias_pairs:
        scores[:, first] += scores[:, again]
        scores[:, again] = 0.0
    best = scores.argmax(axis=1)
    return np.array(model.nb_classes, dtype=object)[best], scores[np.arange(len(texts)), best].astype(np.float64)


def _scores(model: Any, data: list[bytes], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """The log-posterior of every language: the texts' bytes walk through the automaton in step, a byte of each at a
    time, and the features met are counted."""
    from scipy import sparse

    rows, features = _walked(model, data, lengths)
    num_features = model.nb_ptc.shape[0]
    key, counts = np.unique(rows * num_features + features, return_counts=True)
    met = sparse.csr_array(
        (np.log1p(counts.astype(np.float32)), (key // num_features, key % num_features)),
        shape=(len(data), num_features),
    )
    scores = np.asarray(met @ model.nb_ptc + model.nb_pc, dtype=np.float32)
    scores[np.bincount(rows, minlength=len(data)) == 0] = 0.0
    return scores


def _walked(model: Any, data: list[bytes], lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The features that the texts meet, each with the number of its text."""
    nextmove, output, base = _tables()
    width = int(lengths.max(initial=0))
    letters = np.zeros((len(data), width), dtype=np.uint8)
    flat = np.frombuffer(b"".join(data), dtype=np.uint8)
    letters[np.arange(width)[None, :] < lengths[:, None]] = flat
    # The longest text first: those that are done are the last ones.
    order = np.argsort(-lengths, kind="stable")
    letters, sorted_lengths = letters[order], lengths[order]
    state = np.zeros(len(data), dtype=np.int64)
    rows, features = [], []
    for place in range(width):
        alive = int(np.searchsorted(-sorted_lengths, -place, side="left"))
        state = nextmove[base[state[:alive]] + letters[:alive, place]].astype(np.int64)
        found = output[state]
        met = np.flatnonzero(found >= 0)
        rows.append(order[met])
        features.append(found[met])
    if not rows:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(rows), np.concatenate(features).astype(np.int64)


def _encoded(text: str) -> bytes:
    plain = text.lower() if text.isupper() else text
    return unicodedata.normalize("NFC", plain).encode("utf-8", "surrogatepass")


@lru_cache(maxsize=1)
def loaded() -> Any:
    """The model as py3langid opens it."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    model = loaded()
    return np.asarray(model.tk_nextmove), np.asarray(model.tk_output), np.asarray(model._rowbase, dtype=np.int64)
