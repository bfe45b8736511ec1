"""The training rows nearest to a text, in the model's own space of features.

Shapes: N training rows, Q texts, D features, K neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.tasks import HeadTask

BLOCK_ROWS = 1024


def unit_rows(vectors_ND: NDArray[Any]) -> NDArray[np.float32]:
    """The vectors with length 1; one without length stays as it is, and is like no other."""
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    found: NDArray[np.float32] = (vectors_ND / np.where(length_N1 > 0, length_N1, 1)).astype(np.float32)
    return found


def nearest(
    asked_QD: NDArray[Any], vectors_ND: NDArray[Any], num: int, own_Q: Sequence[int] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The places (Q, K) of the vectors with the largest cosine, the likest first, and the cosines (Q, K).

    ``own_Q`` is the place of each asked vector among the vectors: a row is no neighbour of its own. Of equal cosines
    the earlier row comes first.
    """
    available = len(vectors_ND) - (own_Q is not None)
    num = max(0, min(num, available))
    unit_ND, unit_QD = unit_rows(vectors_ND), unit_rows(asked_QD)
    places = np.zeros((len(unit_QD), num), np.int64)
    cosines = np.zeros((len(unit_QD), num), np.float32)
    if not num:
        return places, cosines
    for start in range(0, len(unit_QD), BLOCK_ROWS):
        cosine_QN = unit_QD[start : start + BLOCK_ROWS] @ unit_ND.T
        if own_Q is not None:
            own = np.asarray(own_Q[start : start + BLOCK_ROWS])
            cosine_QN[np.arange(len(own)), own] = -np.inf
        part_QK = np.argpartition(-cosine_QN, num - 1, axis=1)[:, :num]
        values_QK = np.take_along_axis(cosine_QN, part_QK, axis=1)
        order_QK = np.lexsort((part_QK, -values_QK), axis=1)
        places[start : start + BLOCK_ROWS] = np.take_along_axis(part_QK, order_QK, axis=1)
        cosines[start : start + BLOCK_ROWS] = np.take_along_axis(values_QK, order_QK, axis=1)
    return places, cosines


def disagreement(
    task: HeadTask, labels: Sequence[Any], own_Q: Sequence[int], places_QK: NDArray[np.int64]
) -> list[float]:
    """How far the label of each row is off those of its nearest rows.

    ``classify``: the share of them with another label; ``tag``: the mean Jaccard distance; ``regress``: the distance to
    their mean, in standard deviations of the target (of several targets the mean of it).
    """
    found = []
    spread = _spread(labels) if task == "regress" else None
    for own, places in zip(own_Q, places_QK, strict=True):
        near = [labels[place] for place in places]
        if not near:
            found.append(0.0)
        elif task == "classify":
            found.append(float(np.mean([one != labels[own] for one in near])))
        elif task == "tag":
            found.append(float(np.mean([_jaccard(set(labels[own]), set(one)) for one in near])))
        else:
            off = np.abs(np.mean(np.array(near, float), axis=0) - np.array(labels[own], float)) / spread
            found.append(float(np.mean(off)))
    return found


def _spread(labels: Sequence[Any]) -> NDArray[np.float64]:
    spread = np.array(labels, float).std(axis=0)
    found: NDArray[np.float64] = np.where(spread > 0, spread, 1.0)
    return found


def _jaccard(one: set[str], other: set[str]) -> float:
    return 1 - len(one & other) / len(one | other) if one | other else 0.0
