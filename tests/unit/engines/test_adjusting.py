"""A model's own generation settings change answers as they do in transformers' ``generate``, whatever is batched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.engines.test_generation import TEXTS, answers, base

from tunesmith.core.engine import GenerationOptions, Request
from tunesmith.engines.generation import GenerationEngine
from tunesmith.models.causal import load_language

MOST = 12
BY_ALL: dict[str, dict[str, Any]] = {
    "repetition_penalty": {"repetition_penalty": 3.0},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 1},
    "encoder_repetition_penalty": {"encoder_repetition_penalty": 9.0},
    "encoder_no_repeat_ngram_size": {"encoder_no_repeat_ngram_size": 1},
    "bad_words_ids": {"bad_words_ids": [["FIRST"], ["SECOND", "THIRD"]]},
    "sequence_bias": {"sequence_bias": [[["FIRST"], -50.0], [[40], 5.0]]},
    "suppress_tokens": {"suppress_tokens": ["FIRST", "THIRD"]},
    "begin_suppress_tokens": {"begin_suppress_tokens": ["FIRST"]},
    "min_new_tokens": {"min_new_tokens": 6, "eos_token_id": [2, "THIRD"]},
    "min_length": {"min_length": 11, "eos_token_id": [2, "THIRD"]},
    "exponential_decay_length_penalty": {"exponential_decay_length_penalty": [2, 3.0]},
    "forced_eos_token_id": {"forced_eos_token_id": 2},
    "several": {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2, "min_new_tokens": 4, "forced_eos_token_id": 2},
}
BY_TWO: dict[str, dict[str, Any]] = {
    "forced_bos_token_id": {"forced_bos_token_id": 40},
    "forced_bos_with_begin": {"forced_bos_token_id": 40, "begin_suppress_tokens": ["SECOND"]},
    "decoder_start_token_id": {"decoder_start_token_id": 7},
}
CASES = [("llama", name) for name in BY_ALL]
CASES += [(family, name) for family in ("t5", "bart") for name in ("several", "encoder_no_repeat_ngram_size")]
CASES += [(family, name) for family in ("t5", "bart") for name in BY_TWO]


def ids_of(engine: GenerationEngine) -> list[list[int]]:
    """The greedy answers' tokens: their texts are compared elsewhere."""
    writings = engine._writings(0, (), TEXTS, GenerationOptions(MOST))
    from tunesmith.engines.writing import write

    for _ in write(engine.module, writings, GenerationOptions(MOST), engine.ends, engine.reader.text_of):
        pass
    return [one.ids for one in writings]


def theirs(folder: Path, prompts: Sequence[list[int]], ends: Sequence[int]) -> list[list[int]]:
    """What ``generate`` writes to each prompt alone with the folder's own settings, without the end."""
    module: Any = load_language(folder)
    found = []
    for prompt in prompts:
        tokens = torch.tensor([prompt])
        more: dict[str, Any] = {"max_new_tokens": MOST, "do_sample": False, "num_beams": 1, "eos_token_id": list(ends)}
        written = module.generate(tokens, attention_mask=torch.ones_like(tokens), **more)[0].tolist()
        written = written[1:] if module.config.is_encoder_decoder else written[len(prompt) :]
        found.append(written[:-1] if written[-1] in ends else written)
    return found


def filled(value: Any, names: dict[str, int]) -> Any:
    """Settings with ids in place of their names."""
    if isinstance(value, list):
        return [filled(one, names) for one in value]
    if isinstance(value, dict):
        return {key: filled(one, names) for key, one in value.items()}
    return names.get(value, value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[list[int]]]]:
    """A base of each family, and what it writes without settings of its own."""
    found = {}
    for family in ("llama", "t5", "bart"):
        folder = base(tmp_path_factory.mktemp(family), family)
        engine = GenerationEngine.open_base(folder, "generate")
        found[family] = folder, ids_of(engine)
        engine.close()
    return found


@pytest.mark.parametrize(("family", "name"), CASES)
def test_settings_change_answers_as_in_transformers(
    family: str, name: str, plain: dict[str, tuple[Path, list[list[int]]]], tmp_path: Path
) -> None:
    source, before = plain[family]
    (tmp_path / "files").mkdir()
    for file in (source / "files").iterdir():
        (tmp_path / "files" / file.name).symlink_to(file)
    settings = tmp_path / "files" / "generation_config.json"
    first = next(one for one in before if len(set(one)) > 2)
    second = next(one for one in first if one != first[0])
    names = {"FIRST": first[0], "SECOND": second, "THIRD": next(one for one in first if one not in (first[0], second))}
    told = json.loads(settings.read_text()) | filled((BY_ALL | BY_TWO)[name], names)
    settings.unlink()
    settings.write_text(json.dumps(told))
    engine = GenerationEngine.open_base(tmp_path, "generate")
    found = ids_of(engine)
    prompts = [engine.reader.text_ids(text) for text in TEXTS]
    assert found == theirs(tmp_path / "files", prompts, sorted(engine.ends))
    assert found != before, "the setting changes an answer"
    alone = [answers(engine, texts=[text], options=GenerationOptions(MOST))[0].num_tokens for text in TEXTS]
    assert alone == [len(ids) for ids in found], "a row alone is the row in its batch"
    assert engine.notes == ()
    engine.close()


def test_an_end_that_is_forced_is_told_as_cut(tmp_path: Path) -> None:
    folder = base(tmp_path)
    settings = folder / "files" / "generation_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"forced_eos_token_id": 2}))
    engine = GenerationEngine.open_base(folder, "generate")
    [answer] = answers(engine, texts=["card"], options=GenerationOptions(5))
    assert (answer.finish, answer.num_tokens) == ("length", 4)
    engine.close()


def test_what_is_drawn_obeys_the_settings_too(tmp_path: Path) -> None:
    folder = base(tmp_path)
    settings = folder / "files" / "generation_config.json"
    kept = [40, 41, 42]
    told = json.loads(settings.read_text()) | {"suppress_tokens": [one for one in range(300) if one not in kept]}
    settings.write_text(json.dumps(told))
    engine = GenerationEngine.open_base(folder, "generate")
    [answer] = engine.submit(Request("generate", ["card"], options=GenerationOptions(20, temperature=2.0)))
    assert set(engine.reader.text_ids(answer.text)) <= set(kept)
    engine.close()


def test_what_is_not_followed_is_said(tmp_path: Path) -> None:
    folder = base(tmp_path)
    settings = folder / "files" / "generation_config.json"
    more = {"num_beams": 4, "do_sample": True, "temperature": 0.6, "guidance_scale": 1.0, "stop_strings": ["x"]}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | more))
    engine = GenerationEngine.open_base(folder, "generate")
    assert len(engine.notes) == 1
    assert "num_beams 4" in engine.notes[0] and "stop_strings" in engine.notes[0]
    assert "temperature" not in engine.notes[0] and "guidance" not in engine.notes[0], (
        "what the caller says, or nothing"
    )
    engine.close()
