"""A view of a language run that never was: its facts are measured by the real evaluation on made-up answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.unit.data.context import FakeContext
from tests.unit.evaluation.language.fakes import FakeWriter, asked, frame, general, given
from tests.unit.reporting.report_views import classify_view, denied

from tunesmith.core.conversation import Conversation
from tunesmith.evaluation.language.config import EvaluateLanguageConfig
from tunesmith.evaluation.language.stage import EvaluateLanguage
from tunesmith.reporting.view import RunView

PLACES = ("pub", "restaurant", "coffee shop")
NAMES = ("The Vaults", "The Phoenix", "Aromi", "Zizzi", "Strada")


def meals(num: int, start: int = 0) -> list[Conversation]:
    """Meaning representations and their sentences."""
    found = []
    for at in range(start, start + num):
        name, place, price = NAMES[at % 5], PLACES[at % 3], 10 + at
        prompt = f"name[{name}], eatType[{place}], priceRange[under £{price}]"
        found.append(asked(prompt, f"{name} is a {place} where a meal costs less than £{price}."))
    return found


def language_view(
    folder: Path, *, task: str = "generate", test: Sequence[Conversation] = (), more: Sequence[Conversation] = ()
) -> RunView:
    """A view of a run that learned to write; ``more`` are test rows beside the usual ones."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [*(test or meals(60)), *more]
    truth = {one.prompt.turns[-1].content: one.answer for one in rows if one.prompt.turns}

    def model(one: Conversation) -> str:
        answer = truth[one.turns[-1].content]
        return answer if len(answer) % 3 else answer[: len(answer) // 2] + " and that is all there is."

    def base(one: Conversation) -> str:
        return one.answer[:12] or "Once upon a time, there was a little girl named Lily.\n\nShe liked to play."

    context = FakeContext(folder / "run")
    config = EvaluateLanguageConfig.model_validate(
        {
            "task": task,
            "bootstrap_samples": 200,
            "generation": {"prompts": 40, "max_new_tokens": 64},
            "forgetting": {"source": {"kind": "text", "path": "general.txt", "name": "stories"}},
        }
    )
    stage = EvaluateLanguage(config, lambda *_: FakeWriter(model, 0.62), lambda *_: FakeWriter(base, 1.31))
    inputs = given(context, meals(80, 100), frame(rows, source="meals"))
    inputs["general"] = general(folder / "general", [f"It was day {day} of the journey. " * 60 for day in range(9)])
    facts = stage.run(inputs, context)["report"]
    view = classify_view(folder / "as_classify")
    (folder / "history.jsonl").write_text("\n".join(map(json.dumps, _history())) + "\n", "utf-8")
    passed = replace if facts["gate"]["passed"] else lambda one, **changes: replace(denied(one), **changes)
    return passed(
        view,
        task=task,
        report=facts,
        predictions=context.out / "report" / "predictions.parquet",
        history=folder / "history.jsonl",
        splits={**view.splits, "task": task, "labels": [], "label_counts": {}},
        model={**view.model, "task": task, "watched": "loss", "trainable": "lora", "best": 0.79, "dropped_rows": 2},
        base={**view.base, "name": "stories260k", "model_type": "llama", "max_tokens": 512},
        baselines={},
        made={"tokens": {"tokens": _tokens()}},
    )


def _tokens() -> dict[str, Any]:
    counts = {
        "rows": 400, "kept": 398, "dropped": 2, "untrained_rows": 0, "truncated": 0, "split": 0, "tokens": 31_204,
        "trained_tokens": 18_022, "cut_tokens": 1_204, "reasons": {"longer than 512 tokens": 2},
    }  # fmt: skip
    said = [["<s>", 0.0], ["name[Aromi], eatType[pub]", 0.0], ["\n", 0.0], ["Aromi", 1.0], [" is a pub.", 1.0]]
    return {
        "template": {"name": "plain", "source": "built in", "digest": "ab"},
        "train_on": "assistant",
        "max_tokens": 512,
        "policy": "drop",
        "by_source": {"meals": counts},
        "samples": [[*said, ["</s>", 1.0]], [["<script>alert(1)</script>\u202e", 0.0], ["ok", 1.0]]],
    }


def _history() -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for step in range(1, 41):
        lines.append({"step": step, "epoch": step / 10, "loss": 3.9 / step**0.4, "lr": 1e-3, "grad_norm": 1.0})
        if step % 10 == 0:
            sample = {"row_id": "r", "prompt": "name[Aromi], eatType[pub]", "reference": "Aromi is a pub."}
            written = {**sample, "generated": "Aromi is is a a pub." if step < 40 else "Aromi is a pub."}
            lines.append(
                {"step": step, "epoch": step / 10, "validation": {"loss": 3.8 / step**0.42}, "samples": [written]}
            )
    return lines
