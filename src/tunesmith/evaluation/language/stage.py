"""Stage ``evaluate_language``: what the model writes and how it scores the test rows, beside the untrained base."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from tunesmith.core.engine import GenerationOptions
from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.core.tasks import LanguageTask
from tunesmith.evaluation import gate as gates
from tunesmith.evaluation.config import Gate, GateRule
from tunesmith.evaluation.language import few_shot
from tunesmith.evaluation.language.config import EvaluateLanguageConfig
from tunesmith.evaluation.language.forgetting import GeneralText, forgetting_facts, general_text, scored
from tunesmith.evaluation.language.opened import OpenBase, OpenModel, Writer, open_base, open_model
from tunesmith.evaluation.language.predictions import loss_by_source, predictions_frame
from tunesmith.evaluation.language.prompts import TestPrompts, only_last, read_conversations, test_prompts
from tunesmith.evaluation.language.responses import Responses, responses
from tunesmith.evaluation.language.unread import left_out, unread
from tunesmith.evaluation.limits import Measured, check_limits, divided, with_checks
from tunesmith.evaluation.significance import MODEL, Resamples, intervals
from tunesmith.metrics import table
from tunesmith.metrics.written import Counts

BASE, FEW_SHOT = "base", "few_shot"
OF_ONE_ANSWER: dict[LanguageTask, str] = {
    "chat": "chrf",
    "generate": "chrf",
    "summarise": "rougeL",
    "translate": "chrf",
    "extract": "field_accuracy",
}
"""What an answer alone is ranked by where examples are shown."""
PREDICTED_WITHOUT_QUESTIONS = "bits_per_byte"
"""What leads where no test row asks anything, so that nothing can be written (continued pre-training)."""


class EvaluateLanguage:
    """Measures a language model on the test rows and judges it by the gate."""

    makes: ClassVar[dict[str, str]] = {"report": "report"}

    def __init__(
        self, config: EvaluateLanguageConfig, open_model: OpenModel = open_model, open_base: OpenBase = open_base
    ) -> None:
        self.config, self.open_model, self.open_base = config, open_model, open_base
        self.options = GenerationOptions(max_new_tokens=config.generation.max_new_tokens)

    def run(self, given: Given, context: StepContext) -> dict[str, Facts]:
        """The report's facts; ``metrics.json`` and ``predictions.parquet`` lie beside each other."""
        test = pl.read_parquet(given["splits"].path / "test.parquet")
        asked = test_prompts(test, self.config, unread(given, "test", test))
        if "tokens" in given and given["tokens"].facts.get("train_on") == "last":
            asked = replace(asked, conversations=tuple(map(only_last, asked.conversations)))
        if not asked.prompts:
            raise DataError(
                "there is no test row with an answer, so nothing can be measured",
                seen=", ".join(f"{num} rows: {why}" for why, num in asked.notes.items()) or "0 test rows",
                next="give `split.test` a share, or add test rows",
            )
        not_measured: dict[str, str] = {}
        examples = self._examples(given, asked, context, not_measured)
        baselines = [name for name in self.config.baselines if name not in not_measured]
        leads = table.PRIMARY[self.config.task] if asked.num_written else PREDICTED_WITHOUT_QUESTIONS

        general = self._general(given, not_measured)
        found, read = self._ask(given, asked, examples, general, baselines, context, not_measured)
        baselines = [name for name in baselines if name in found]
        rules = self.config.gate
        if rules is None:
            rules = {leads: GateRule(better_than=tuple(baselines))} if baselines else {}
        counts = Counts(is_json=self.config.task == "extract")
        statistics = {name: one.statistics(asked, counts) for name, one in found.items()}
        facts = self._judged(statistics, rules, leads, read, general, not_measured, context.seed)
        alone = OF_ONE_ANSWER[self.config.task]
        facts |= {
            "num_rows": test.height,
            "generation": _generation(self.options, found, alone),
            "truncated_rows": found[MODEL].truncated_rows,
            "num_truncated_tokens": found[MODEL].num_truncated_tokens,
            "prompts": {
                "all": asked.num_prompts,
                "measured": len(asked.prompts),
                "answerable": asked.num_answerable,
                "written": asked.num_written,
            },
            "notes": asked.notes,
            "by_source": loss_by_source(test, {name: one.scored for name, one in found.items()}),
        }
        each = [table.find(alone, self.config.task)([0], one[None]) for one in statistics[MODEL][: asked.num_written]]
        frame = predictions_frame(test, asked, found, each)
        _write(context.out / "report", facts, frame)
        return {"report": facts}

    def _examples(
        self, given: Given, asked: TestPrompts, context: StepContext, not_measured: dict[str, str]
    ) -> few_shot.Examples | None:
        """The examples of the baseline ``few_shot``; None where it is not run or there are none."""
        if FEW_SHOT not in self.config.baselines:
            return None
        if not any(prompt.asked.turns for prompt in asked.prompts):
            not_measured[FEW_SHOT] = "the test rows ask nothing, so no example can stand before a question"
            return None
        rows = pl.read_parquet(given["splits"].path / "train.parquet")
        train = read_conversations(rows.filter(~pl.col("row_id").is_in(list(left_out(given, "train")))))
        candidates = few_shot.usable(train, context.seed)
        if not candidates:
            not_measured[FEW_SHOT] = "no training row has a question and an answer in words"
            return None
        prompts = [prompt.asked for prompt in asked.prompts]
        return few_shot.choose(self.config.few_shot, candidates, prompts, context.seed)

    def _general(self, given: Given, not_measured: dict[str, str]) -> GeneralText | None:
        if self.config.forgetting is None or "general" not in given:
            not_measured["forgetting"] = "the recipe names no general text (`evaluate.forgetting`)"
            return None
        if given["base"].facts.get("network") == "encoder_decoder":
            not_measured["forgetting"] = "an encoder-decoder has no probability for a text alone"
            return None
        return general_text(given["general"].path, self.config.forgetting.max_bytes)

    def _ask(
        self,
        given: Given,
        asked: TestPrompts,
        examples: few_shot.Examples | None,
        general: GeneralText | None,
        baselines: Sequence[str],
        context: StepContext,
        not_measured: dict[str, str],
    ) -> tuple[dict[str, Responses], dict[str, np.ndarray]]:
        """What each predictor makes of the prompts, and of general text; one model is open at a time."""
        found: dict[str, Responses] = {}
        read: dict[str, np.ndarray] = {}

        def ask(engine: Writer, names: Mapping[str, few_shot.Examples | None], reads_as: str) -> None:
            try:
                for name, shown in names.items():
                    try:
                        found[name] = responses(engine, asked, self.options, context, name.replace("_", "-"), shown)
                    except DataError as error:
                        if shown is None:
                            raise
                        # A template may take no second question, or no example's words.
                        not_measured[name] = f"a prompt behind examples cannot be read: {error.seen}"
                if general is not None:
                    read[reads_as] = scored(engine, general, context, reads_as)
            finally:
                engine.close()

        model, base = given["model"].path, given["base"].path
        opened = self.open_model(model, base)
        for note in opened.notes:
            context.warn(note)
        ask(opened, {MODEL: None}, MODEL)
        if baselines or general is not None:
            shown = {BASE: None, FEW_SHOT: examples}
            ask(self.open_base(model, base), {name: shown[name] for name in baselines}, BASE)
        return found, read

    def _judged(
        self,
        statistics: Mapping[str, np.ndarray],
        rules: Gate,
        leads: str,
        read: Mapping[str, np.ndarray],
        general: GeneralText | None,
        not_measured: dict[str, str],
        seed: int,
    ) -> Facts:
        """Scores with intervals, comparisons, forgetting and the gate's judgement."""
        config = self.config
        scores = Resamples(
            config.task,
            range(len(statistics[MODEL])),
            statistics,
            num_samples=config.bootstrap_samples,
            seed=seed,
            unit="test prompts",
        )
        metric_rules, limits = divided(rules)
        judgement, comparisons, gaps = gates.judge(metric_rules, scores, config.confidence, leads)
        measured, more_gaps = intervals(scores, config.confidence)
        facts: Facts = {
            "task": config.task,
            "primary": gates.primary(metric_rules, config.task, leads),
            "metrics": {"test": measured.pop(MODEL)},
            "baselines": measured,
            "comparisons": [asdict(one) for one in comparisons],
            "rows_of": {metric: scores.rows_of(metric) for metric in table.of_task(config.task)},
        }
        values: dict[str, Measured | str] = {}
        if general is not None and config.forgetting is not None:
            facts["forgetting"] = forgetting_facts(
                general,
                read[BASE],
                read[MODEL],
                source=str(config.forgetting.source.name),
                confidence=config.confidence,
                num_samples=config.bootstrap_samples,
                seed=seed,
            )
            words = f"on {len(general.passages):,} passages of general text"
            values["forgetting"] = Measured(words=words, **facts["forgetting"]["rise"])
        else:
            values["forgetting"] = not_measured["forgetting"]
        judgement = with_checks(judgement, check_limits(limits, values, config.confidence))
        return facts | {"gate": judgement.to_facts(), "not_measured": {**gaps, **more_gaps, **not_measured}}


def _generation(options: GenerationOptions, found: Mapping[str, Responses], alone: str) -> Facts:
    """How answers were written, how they ended, and how many examples fitted."""
    facts: Facts = {
        "max_new_tokens": options.max_new_tokens,
        "score": alone,
        "finish": {name: dict(sorted(Counter(one.finishes).items())) for name, one in found.items()},
        "truncated_prompts": {name: one.truncated_prompts for name, one in found.items()},
        "truncated_prompt_tokens": {name: one.num_truncated_prompt_tokens for name, one in found.items()},
    }
    return facts | ({"examples": found[FEW_SHOT].shown} if FEW_SHOT in found else {})


def _write(folder: Path, facts: Any, frame: pl.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / "predictions.parquet")
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
