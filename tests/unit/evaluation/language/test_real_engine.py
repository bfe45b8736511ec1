"""The stage with real tiny models: the untrained base is its own equal, and its loss is transformers' own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import write_decoder
from tests.unit.data.context import FakeContext
from tests.unit.evaluation.language.fakes import asked, frame, general, given

from tunesmith.core.artifact import Artifact
from tunesmith.evaluation.language.config import EvaluateLanguageConfig
from tunesmith.evaluation.language.few_shot import with_examples
from tunesmith.evaluation.language.stage import EvaluateLanguage

ROWS = [asked(f"name {at}", f"it is {at}") for at in range(6)]
TRAIN = [asked(f"name {at}", f"it is {at}") for at in range(20, 40)]


def _saved(context: FakeContext, task: str) -> dict[str, Artifact]:
    """A model whose weights are its base's, and the other inputs of the stage."""
    from tunesmith.models.language_folder import num_embeddings, open_base, save_language
    from tunesmith.models.language_manifest import LanguageManifest, RowLength, TemplateReference
    from tunesmith.models.manifest import BaseReference
    from tunesmith.models.templates.template import choose

    inputs = given(context, TRAIN, frame(ROWS))
    files = context.out / "base" / "files"
    write_decoder(files)
    module, vocabulary = open_base(context.out / "base")
    template = choose(files, vocabulary, task=task)
    manifest = LanguageManifest.model_validate(
        {
            "task": task,
            "base": BaseReference(name="tiny", digest="d"),
            "trainable": "full",
            "template": TemplateReference(name=template.name, digest=template.digest),
            "tokenizer": vocabulary.digest,
            "num_vocabulary": num_embeddings(module),
            "length": RowLength(max_tokens=256, policy="drop"),
        }
    )
    save_language(manifest, module, files, template, context.out / "model")
    return inputs


@pytest.mark.parametrize("task", ["generate", "chat"])
def test_a_model_that_learned_nothing_is_as_good_as_its_base(tmp_path: Path, task: str) -> None:
    context = FakeContext(tmp_path)
    inputs = _saved(context, task)
    inputs["general"] = general(tmp_path / "general", ["It was a dark and stormy night. " * 40])
    config: Any = {
        "task": task,
        "bootstrap_samples": 200,
        "generation": {"max_new_tokens": 4, "prompts": 3},
        "forgetting": {"source": {"kind": "text", "path": "general.txt"}},
    }
    facts = EvaluateLanguage(EvaluateLanguageConfig.model_validate(config)).run(inputs, context)["report"]
    against_base = next(one for one in facts["comparisons"] if one["against"] == "base")
    assert against_base["difference"] == 0 and against_base["verdict"] == "not shown" and not facts["gate"]["passed"]
    assert facts["metrics"]["test"] == facts["baselines"]["base"]
    assert facts["forgetting"]["rise"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    # 1,280 bytes of text and a context of 256 bytes: all of it was read.
    assert facts["forgetting"]["num_bytes"] == facts["forgetting"]["of_bytes"] == 1280
    assert facts["prompts"]["written"] == 3 and sum(facts["generation"]["finish"]["model"].values()) == 3
    if task == "generate":
        assert facts["metrics"]["test"]["perplexity"]["value"] == pytest.approx(_perplexity(tmp_path), rel=1e-5)


def _perplexity(folder: Path) -> float:
    """Of every answer behind its prompt, as transformers alone computes it: prompt, line break, answer, end."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    files = folder / "out" / "base" / "files"
    model = AutoModelForCausalLM.from_pretrained(files, use_safetensors=True, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(files, local_files_only=True)
    total, num = 0.0, 0
    for one in ROWS:
        # The template of tasks without a chat, written out; this tokenizer puts nothing before a text.
        prompt = f"{one.turns[0].content}\n"
        ids = tokenizer(prompt + one.answer + "</s>", add_special_tokens=False, return_tensors="pt").input_ids
        num_prompt = len(tokenizer(prompt, add_special_tokens=False).input_ids)
        labels = ids.clone()
        labels[:, :num_prompt] = -100
        with torch.inference_mode():
            loss = model(input_ids=ids, labels=labels).loss.item()
        total, num = total + loss * (ids.shape[1] - num_prompt), num + ids.shape[1] - num_prompt
    return math.exp(total / num)


@pytest.mark.parametrize("task", ["generate", "chat"])
def test_examples_are_read_and_not_scored(tmp_path: Path, task: str) -> None:
    from tunesmith.core.engine import Request
    from tunesmith.engines.generation import GenerationEngine

    context = FakeContext(tmp_path)
    _saved(context, task)
    engine = GenerationEngine.open(context.out / "model", context.out / "base")
    shown = with_examples(ROWS[0], TRAIN[:2])
    alone, behind = sorted(engine.submit(Request("score", conversations=[ROWS[0], shown])), key=lambda one: one.index)
    engine.close()
    assert alone.values[1:] == behind.values[1:] and alone.values[0] != behind.values[0]
    assert behind.num_tokens > 2 * alone.num_tokens and not behind.num_truncated_tokens
