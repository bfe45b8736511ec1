"""What a language model writes: test prompts with their references, its answers and those of the untrained base."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tunesmith.reporting import wording
from tunesmith.reporting.view import RunView

NUM_BEST, NUM_WORST, NUM_RANDOM = 6, 8, 6
TEXT_CHARS = 900
MAX_REFERENCES = 3


@dataclass(frozen=True)
class Written:
    """One prompt and what was written for it."""

    source: str
    prompt: str
    references: tuple[str, ...]
    num_more_references: int
    answers: tuple[tuple[str, str, str], ...]
    """Who, the answer, and what is to be said of it; the model first."""


@dataclass(frozen=True)
class WrittenGroup:
    """Prompts that were chosen for one reason."""

    title: str
    words: str
    prompts: tuple[Written, ...]


@dataclass(frozen=True)
class Generations:
    """The prompts of a report."""

    words: str
    groups: tuple[WrittenGroup, ...]


def generations_of(view: RunView) -> Generations | None:
    """The examples of a language run; None for other tasks, and where nothing was written."""
    facts: Mapping[str, Any] | None = view.report.get("generation")
    if facts is None or not view.report["prompts"]["written"]:
        return None
    frame = pl.read_parquet(view.predictions).filter(pl.col("generated").is_not_null())
    asked = frame.group_by("prompt_id", maintain_order=True).agg(
        pl.all().first(), pl.col("reference").alias("references")
    )
    ranked = asked.sort("score", descending=True, nulls_last=True, maintain_order=True)
    best = ranked.head(min(NUM_BEST, ranked.height // 3))
    worst = ranked.tail(min(NUM_WORST, ranked.height // 3)).reverse()
    middle = ranked.slice(best.height, ranked.height - best.height - worst.height)
    places = sorted(random.Random(0).sample(range(middle.height), min(NUM_RANDOM, middle.height)))
    metric = wording.metric(facts["score"])
    found = [
        ("The worst answers", f"By the {metric} of the answer alone, the worst first.", worst),
        ("The best answers", f"By the {metric} of the answer alone, the best first.", best),
        ("Answers drawn at random", "From all the others.", middle[places]),
    ]
    baselines = [name for name in view.report["baselines"] if f"baseline_{name}" in frame.columns]
    groups = [WrittenGroup(title, words, _prompts(rows, metric, baselines)) for title, words, rows in found]
    return Generations(_words(view), tuple(group for group in groups if group.prompts))


def _words(view: RunView) -> str:
    """How many were answered, how, and how the answers ended."""
    prompts, facts = view.report["prompts"], view.report["generation"]
    part = "" if prompts["written"] == prompts["answerable"] else f"{wording.count(prompts['written'])} of "
    words = f"{part}{wording.counted(prompts['answerable'], 'test prompt')} answered, always with the likeliest token. "
    ended = facts["finish"]["model"]
    words += f"{wording.count(ended.get('stop', 0))} of the model's answers ended by themselves"
    cut = ended.get("length", 0)
    limit = wording.counted(facts["max_new_tokens"], "token")
    words += f", {wording.count(cut)} at the limit of {limit}." if cut else "."
    lost = facts["truncated_prompts"].get("model", 0)
    if lost:
        words += f" {wording.counted(lost, 'prompt')} lost the start, which the context could not hold."
    return words + _examples(facts.get("examples", {}).get("written", {}))


def _examples(shown: Mapping[str, int]) -> str:
    """How many examples few-shot was shown."""
    if not shown:
        return ""
    parts = [f"{num} before {wording.counted(count, 'prompt')}" for num, count in sorted(shown.items(), reverse=True)]
    return f" Examples that fitted into the context for few-shot: {wording.listed(parts)}."


def _prompts(rows: pl.DataFrame, metric: str, baselines: Sequence[str]) -> tuple[Written, ...]:
    found = []
    for row in rows.iter_rows(named=True):
        note = "" if row["score"] is None else f"{metric} {wording.number(row['score'])}"
        note += " · cut at the limit" if row["finish"] == "length" else ""
        references = list(dict.fromkeys(row["references"]))
        found.append(
            Written(
                source=row["source_id"],
                prompt=wording.bounded(row["prompt"], TEXT_CHARS),
                references=tuple(wording.bounded(one, TEXT_CHARS) for one in references[:MAX_REFERENCES]),
                num_more_references=max(0, len(references) - MAX_REFERENCES),
                answers=(
                    ("Model", wording.bounded(row["generated"], TEXT_CHARS), note.removeprefix(" · ")),
                    *(
                        (wording.baseline(name), wording.bounded(row[f"baseline_{name}"], TEXT_CHARS), "")
                        for name in baselines
                        if row[f"baseline_{name}"] is not None
                    ),
                ),
            )
        )
    return tuple(found)
