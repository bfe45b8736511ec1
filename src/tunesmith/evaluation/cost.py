"""Stage ``cost``: how long an answer takes on this machine, how large the model is, how much memory it needs.

Times are never twice the same, so they have a step of their own: measured once for a model and a machine (the step's
key names both), kept in its artifact, and read from there by every later run. No other artifact holds a time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from tunesmith.core import machine
from tunesmith.core.engine import Request
from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.evaluation.answering import OpenEngine, Predictor, open_transformers
from tunesmith.evaluation.measures_config import CostStageConfig
from tunesmith.models.manifest import ENCODER

Clock = Callable[[], float]
BUSY = 0.7
"""A process that had a core for less than this share of its answers was kept waiting by others."""
WEIGHTS = (".safetensors", ".bin", ".pt")


class Cost:
    """Answers test texts one by one and looks at the clock."""

    makes: ClassVar[dict[str, str]] = {"cost": "cost"}

    def __init__(
        self,
        config: CostStageConfig,
        open_engine: OpenEngine = open_transformers,
        clock: Clock = time.perf_counter,
        cpu_clock: Clock = time.process_time,
    ) -> None:
        self.config, self.open_engine, self.clock, self.cpu_clock = config, open_engine, clock, cpu_clock

    def run(self, given: Given, context: StepContext) -> dict[str, Facts]:
        """The facts of the cost, which lie in ``cost.json`` too."""
        texts = pl.read_parquet(given["splits"].path / "test.parquet", columns=["text"])["text"].to_list()
        if not texts:
            raise DataError(
                "there is no test text to time an answer with", next="give `data.split.test` a share, or add test rows"
            )
        chosen = _spread_out(texts, self.config.texts)
        engine = self.open_engine(given["model"].path, given["base"].path)
        try:
            for text in _cycled(chosen, self.config.warm_up):
                _answer(engine, text)
            times_s = []
            busy_s = -self.cpu_clock()
            for done, text in enumerate(_cycled(chosen, self.config.texts), start=1):
                started = self.clock()
                _answer(engine, text)
                times_s.append(self.clock() - started)
                if done % 10 == 0:
                    context.progress(done, self.config.texts, "texts", "timing single answers")
                    context.check_cancelled()
            busy_s += self.cpu_clock()
            peak = machine.peak_bytes()
        finally:
            engine.close()
        running = min(1.0, busy_s / sum(times_s))
        if running < BUSY:
            context.warn(
                f"the times of single answers are too long: this process had a core for only {running:.0%} of them, "
                "the rest went to other work on this machine; measure again when it is idle"
            )
        facts: Facts = {
            "running": round(running, 3),
            "latency_ms": _milliseconds(times_s) | {"num_answers": len(times_s), "warm_up": self.config.warm_up},
            "chars": {"median": float(np.median([len(text) for text in chosen])), "max": max(map(len, chosen))},
            "size_bytes": _size_bytes(given["model"].path, given["base"].path),
            "weights_bytes": _size_bytes(given["model"].path, given["base"].path, WEIGHTS),
            "peak_bytes": peak,
            "machine": machine.hardware(),
        }
        folder = context.out / "cost"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cost.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return {"cost": facts}


def _answer(engine: Predictor, text: str) -> None:
    for _ in engine.submit(Request("predict", [text])):
        pass


def _spread_out(texts: Sequence[str], most: int) -> list[str]:
    """At most so many texts, evenly spread over their lengths, in an order that mixes short and long."""
    by_length = sorted(texts, key=lambda text: (len(text), text))
    places = np.linspace(0, len(by_length) - 1, min(most, len(by_length))).round().astype(int)
    kept = [by_length[place] for place in places]
    order = np.random.default_rng(0).permutation(len(kept))
    return [kept[place] for place in order]


def _cycled(texts: Sequence[str], num: int) -> list[str]:
    return [texts[place % len(texts)] for place in range(num)]


def _milliseconds(times_s: Sequence[float]) -> dict[str, float]:
    times_ms = 1000 * np.array(times_s)
    p50, p95 = np.percentile(times_ms, [50, 95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "max": round(float(times_ms.max()), 3)}


def _size_bytes(model: Path, base: Path, endings: tuple[str, ...] = ()) -> int:
    """The bytes of the files that an answer needs: the model's, and its base's where it brings no encoder."""
    folders: list[Any] = [model] if (model / ENCODER).is_dir() else [model, base / "files"]
    files = (file for folder in folders if folder.is_dir() for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files if not endings or file.suffix in endings)
