"""A model as it is served: the same weights without padding, and in bfloat16 where that was asked for and is allowed.

The engine as it was trained stays beside it: an explanation puts hooks into that network, so it is one of float32.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tunesmith.core.engine import Capability, Engine, Request, Stream
from tunesmith.engines.lanes import Lanes
from tunesmith.engines.precision import Reduced, reduce
from tunesmith.engines.transformers import TransformersEngine

log = logging.getLogger(__name__)
PADDED_TOKENS = 256
"""Of a pass with padding. On one core, MiniLM in bfloat16, short texts: 2.1 ms a text at 256, 2.5 at 512, 3.4 at 4,096
(padding), 2.9 at 64 (too few rows a pass)."""
PACKED_TOKENS = 8192
"""Of a pass without: the more the better (1.3 ms a text at 64 rows, 1.6 at 16), so this bounds memory alone."""
MAX_CHANGE = 1e-4
"""Of a vector's values, of about 1: packing that changes more is not used. Rounding alone changes some millionths."""
SAMPLE = ("a", "one word and another, and some more of them to make it longer", "three words here", "")


class QuickEngine:
    """Answers as ``engine`` does, which is what explanations look into."""

    def __init__(self, engine: TransformersEngine, quick: Engine) -> None:
        self.engine, self._quick = engine, quick
        self.capabilities: frozenset[Capability] = quick.capabilities
        self.labels = engine.labels

    def submit(self, request: Request) -> Stream:
        """The answers, in any order."""
        return self._quick.submit(request)

    def close(self) -> None:
        """Drop the weights."""
        self._quick.close()
        self.engine.close()


def quicken(
    engine: TransformersEngine, probes: Sequence[str] | None, lanes: int = 1, threads_each: int = 1
) -> tuple[QuickEngine, Reduced | None]:
    """The engine made faster; ``probes`` are texts on which bfloat16 is tried, None: it stays in float32.

    ``lanes``: parts of a batch that are answered side by side, by products of ``threads_each`` threads.
    """
    from tunesmith.models.encoder import TextNetwork

    whole = engine.network
    quick = TransformersEngine(engine.manifest, TextNetwork(whole.encoder, whole.head, whole.pooling), engine.tokenizer)
    quick.budget_tokens = PADDED_TOKENS
    _pack(quick)
    tried = None if probes is None else reduce(quick, probes)
    return QuickEngine(engine, quick if lanes == 1 else Lanes(quick, lanes, threads_each)), tried


def _pack(quick: TransformersEngine) -> None:
    """Let an engine's encoder compute no padding, where it is known how and gives the same."""
    from tunesmith.engines.packed import packed

    whole = quick.network.encoder
    without = packed(whole)
    if without is None:
        return
    before = _vectors(quick)
    quick.network.encoder = without
    try:
        after = _vectors(quick)
    except RuntimeError as error:  # a processor that lacks a kernel
        log.warning("answers stay with padding: %s", str(error).partition("\n")[0])
        quick.network.encoder = whole
        return
    change = max(
        abs(one - other) for old, new in zip(before, after, strict=True) for one, other in zip(old, new, strict=True)
    )
    if change <= MAX_CHANGE:
        quick.budget_tokens = PACKED_TOKENS
    else:
        quick.network.encoder = whole


def _vectors(engine: TransformersEngine) -> list[tuple[float, ...]]:
    return [one.values for one in sorted(engine.submit(Request("embed", SAMPLE)), key=lambda one: one.index)]
