"""Language models answer as transformers' own ``generate`` does, whatever is batched, and score as by hand."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.engine import Answer, GenerationOptions, Request
from tunesmith.core.errors import DataError, ModelError, TunesmithError
from tunesmith.engines.decoding import start_id, takes_padding
from tunesmith.engines.generation import GenerationEngine
from tunesmith.models.causal import load_language

LIVELY = {"initializer_range": 0.6}
"""Random weights large enough that greedy answers do not repeat one token."""
TEXTS = ["card", "why is my refund not back", "please help, the transfer to my friend is pending again", "pin?", "a b"]


def base(folder: Path, family: str = "llama", **changes: Any) -> Path:
    """A BASE folder of a tiny model."""
    if family in ("t5", "bart"):
        more = {"initializer_factor": 3.0} if family == "t5" else {"init_std": 0.6}
        tiny.write_seq2seq(folder / "files", family=family, **more, **changes)  # type: ignore[arg-type]
    else:
        tiny.write_decoder(folder / "files", family, **LIVELY, **changes)  # type: ignore[arg-type]
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GenerationEngine]:
    engine = GenerationEngine.open_base(base(tmp_path_factory.mktemp("llama")), "chat")
    yield engine
    engine.close()


def said(*texts: str, system: str | None = None) -> Conversation:
    """A conversation whose turns alternate from the user on."""
    first = () if system is None else (Turn("system", system),)
    roles = itertools.cycle(("user", "assistant"))
    return Conversation((*first, *(Turn(role, text) for role, text in zip(roles, texts, strict=False))))  # type: ignore[arg-type]


def answers(engine: GenerationEngine, *, options: GenerationOptions | None = None, **asked: Any) -> list[Answer]:
    found = {one.index: one for one in engine.submit(Request("generate", options=options, **asked))}
    return [found[place] for place in range(len(found))]


def reference(module: Any, prompts: Sequence[list[int]], most: int, ends: Sequence[int]) -> list[list[int]]:
    """What transformers' ``generate`` writes greedily to each prompt alone, without the end."""
    from transformers import GenerationConfig

    found = []
    for prompt in prompts:
        settings = GenerationConfig(max_new_tokens=most, do_sample=False, eos_token_id=list(ends), pad_token_id=0)
        if module.config.is_encoder_decoder:
            settings.decoder_start_token_id = start_id(module)
        tokens = torch.tensor([prompt])
        written = module.generate(tokens, attention_mask=torch.ones_like(tokens), generation_config=settings)[
            0
        ].tolist()
        written = written[1:] if module.config.is_encoder_decoder else written[len(prompt) :]
        found.append(written[:-1] if written[-1] in ends else written)
    return found


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral", "gemma", "phi", "gpt2", "t5", "bart"])
def test_greedy_is_what_transformers_generates(family: str, tmp_path: Path) -> None:
    """Prompts of several lengths in one batch against one prompt after the other."""
    engine = GenerationEngine.open_base(base(tmp_path, family), "generate")
    options = GenerationOptions(max_new_tokens=24)
    prompts = [engine.reader.text_ids(text) for text in TEXTS]
    expected = reference(load_language(tmp_path / "files"), prompts, 24, sorted(engine.ends))
    found = answers(engine, texts=TEXTS, options=options)
    assert [one.text for one in found] == [engine.reader.text_of(ids) for ids in expected]
    assert [one.num_tokens for one in found] == [len(ids) for ids in expected]
    assert [one.finish for one in found] == ["length" if len(ids) == 24 else "stop" for ids in expected]
    assert max(len(set(ids)) for ids in expected) > 2, "answers that say something"
    engine.close()


@pytest.mark.parametrize(
    ("family", "size"),
    [
        ("bloom", {"n_layer": 2, "n_head": 4}),
        ("mamba", {"num_hidden_layers": 2, "state_size": 4, "use_mambapy": False}),
    ],
)
def test_families_that_take_no_positions_are_asked_in_one_length(
    family: str, size: dict[str, Any], tmp_path: Path
) -> None:
    """Bloom's positions are distances, Mamba keeps no keys and values: prompts of one length at a time, and right."""
    from transformers import AutoConfig, AutoModelForCausalLM

    base(tmp_path, "llama")
    config = AutoConfig.for_model(
        family, vocab_size=300, hidden_size=tiny.HIDDEN, pad_token_id=0, bos_token_id=1, eos_token_id=2, **size
    )
    config.initializer_range = 0.6
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "files")
    engine = GenerationEngine.open_base(tmp_path, "generate")
    assert not takes_padding(engine.module) and engine.reader.max_positions is None
    prompts = [engine.reader.text_ids(text) for text in TEXTS]
    expected = reference(load_language(tmp_path / "files"), prompts, 12, sorted(engine.ends))
    found = answers(engine, texts=TEXTS, options=GenerationOptions(12))
    assert [one.text for one in found] == [engine.reader.text_of(ids) for ids in expected]
    assert max(len(set(ids)) for ids in expected) > 2
    engine.close()


def test_stories_as_its_page_tells_them(shared_models: Path, tmp_path: Path) -> None:
    """Greedy from the words of SOURCE.md, which are those of the model's author."""
    (tmp_path / "files").symlink_to(shared_models / "stories260k")
    engine = GenerationEngine.open_base(tmp_path, "generate")
    assert engine.ends == {1, 2}
    [answer] = answers(engine, texts=["Once upon a time"], options=GenerationOptions(max_new_tokens=60))
    told = (shared_models / "stories260k" / "SOURCE.md").read_text().partition('"Once upon a time, there')[2]
    told = ("there" + told.partition('"\n')[0]).replace("\\n", "\n")
    assert answer.text.removeprefix(", ").startswith(told[:150])
    prompts = [engine.reader.text_ids(text) for text in ("Lily and Tom", "One day, a big dog", "Hello")]
    expected = reference(engine.module, prompts, 40, (1, 2))
    found = answers(engine, texts=["Lily and Tom", "One day, a big dog", "Hello"], options=GenerationOptions(40))
    assert [one.text for one in found] == [engine.reader.text_of(ids) for ids in expected]
    engine.close()


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_batch_answers_as_its_rows_alone(family: str, temperature: float, tmp_path: Path) -> None:
    """Also where tokens are drawn: each answer has a stream of its own, known by its place."""
    engine = GenerationEngine.open_base(base(tmp_path, family), "generate")
    options = GenerationOptions(max_new_tokens=16, temperature=temperature, top_p=0.9, seed=3)
    together = answers(engine, texts=TEXTS, options=options)
    for place, text in enumerate(TEXTS):
        # The row keeps its place, and with it its stream; the others are asked something short.
        others = ["x"] * place
        assert answers(engine, texts=[*others, text], options=options)[place] == together[place]
    again = answers(engine, texts=TEXTS, options=options)
    assert again == together
    other = answers(engine, texts=TEXTS, options=GenerationOptions(16, temperature, 0.9, seed=4))
    assert (other == together) == (temperature == 0)
    engine.close()


def test_a_conversation_is_read_as_its_template_writes_it(llama: GenerationEngine) -> None:
    asked = said("hello", system="be kind")
    [text] = llama.reader.prompts([asked])
    assert text == "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    by_text = answers(llama, texts=[str(text)], options=GenerationOptions(12))
    assert answers(llama, conversations=[asked], options=GenerationOptions(12)) == by_text
    ends = {llama.reader.vocabulary.id_of("<|im_end|>"), llama.reader.vocabulary.id_of("</s>")}
    assert llama.ends == ends, "the template's end of turn ends an answer, though config.json does not name it"


def test_an_end_of_turn_that_is_text_ends_an_answer(tmp_path: Path) -> None:
    template = tmp_path / "bare.jinja"
    template.write_text(
        "{% for one in messages %}{{ one.role + ': ' + one.content }}{% if one.role == 'assistant' %}###{% endif %}"
        "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    engine = GenerationEngine.open_base(base(tmp_path), "chat", str(template))
    assert engine.stop == ("###",)
    engine.close()


def test_a_stop_text_ends_an_answer_and_is_no_part_of_it(llama: GenerationEngine) -> None:
    whole = answers(llama, texts=["card"], options=GenerationOptions(30))[0].text
    stop = whole[8:10]
    cut = answers(llama, texts=["card"], options=GenerationOptions(30, stop=(stop, "not there")))[0]
    assert (cut.text, cut.finish) == (whole.partition(stop)[0], "stop")
    assert cut.num_tokens < 30


def test_the_end_token_ends_an_answer(llama: GenerationEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    options = GenerationOptions(30)
    ids = reference(llama.module, [llama.reader.text_ids("card")], 30, (2,))[0]
    last = next(one for one in ids if one != ids[0])
    monkeypatch.setattr(llama, "ends", frozenset({last}))
    [answer] = answers(llama, texts=["card"], options=options)
    assert (answer.finish, answer.num_tokens) == ("stop", ids.index(last))


def test_a_prompt_longer_than_the_context_loses_its_start_and_that_is_counted(llama: GenerationEngine) -> None:
    long = "why " * tiny.CONTEXT
    num = len(llama.reader.text_ids(long))
    [answer] = answers(llama, texts=[long], options=GenerationOptions(40))
    assert answer.num_truncated_tokens == num - (tiny.CONTEXT - 40)
    assert answer.num_tokens <= 40
    # An answer that may be long waits: a quarter of the context is kept for it, and it ends where the context does.
    [answer] = answers(llama, texts=[long], options=GenerationOptions(1000))
    assert answer.num_truncated_tokens == num - tiny.CONTEXT * 3 // 4
    assert answer.num_tokens <= tiny.CONTEXT // 4
    fits = "x" * 20
    [answer] = answers(llama, texts=[fits], options=GenerationOptions(1000))
    assert answer.num_truncated_tokens == 0
    assert answer.num_tokens == tiny.CONTEXT - len(llama.reader.text_ids(fits)) or answer.finish == "stop"


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_nothing_can_be_gone_on_from(text: str, llama: GenerationEngine) -> None:
    assert answers(llama, texts=[text], options=GenerationOptions(3))[0].num_tokens <= 3


def test_pieces_of_a_stream_are_the_answer(llama: GenerationEngine) -> None:
    for seed in range(4):
        options = GenerationOptions(60, temperature=1.5, seed=seed, stop=("e",))
        whole = answers(llama, conversations=[said("hello")], options=options)[0].text
        pieces = list(llama.stream(said("hello"), options))
        assert "".join(pieces) == whole
        assert "" not in pieces


def test_cancelling_stops_within_a_token(llama: GenerationEngine) -> None:
    stream = llama.submit(Request("generate", TEXTS, options=GenerationOptions(200)))
    calls = itertools.count()
    forward = llama.module.forward

    def counted(*given: Any, **more: Any) -> Any:
        if next(calls) == 2:
            stream.cancel()
        return forward(*given, **more)

    llama.module.forward = counted  # type: ignore[method-assign]
    try:
        found = list(stream)
    finally:
        llama.module.forward = forward  # type: ignore[method-assign]
    assert next(calls) <= 5, "one batch, and no token after the cancelled one"
    assert all(one.num_tokens <= 3 for one in found)


def by_hand(module: Any, ids: list[int], weights: list[float]) -> float:
    """The sum of weighted log-probabilities in float64, one token after the other."""
    total = 0.0
    for place in range(1, len(ids)):
        with torch.inference_mode():
            logits_V = module.double()(input_ids=torch.tensor([ids[:place]])).logits[0, -1].tolist()
        largest = max(logits_V)
        total += weights[place] * (
            logits_V[ids[place]] - largest - math.log(sum(math.exp(one - largest) for one in logits_V))
        )
    module.float()
    return total


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_scores_are_the_sums_by_hand(family: str, tmp_path: Path) -> None:
    engine = GenerationEngine.open_base(base(tmp_path, family), "chat")
    rng = random.Random(1)
    rows = [
        {
            "tokens": [rng.randrange(5, 300) for _ in range(length)],
            "weights": [rng.choice([0.0, 1.0, 0.5]) for _ in range(length)],
        }
        for length in (7, 2, 12)
    ]
    found = {one.index: one.values for one in engine.score_rows(rows)}
    for place, row in enumerate(rows):
        assert found[place][0] == pytest.approx(by_hand(engine.module, row["tokens"], row["weights"]), rel=1e-5)  # type: ignore[arg-type]
        assert found[place][1] == sum(row["weights"][1:])
    engine.close()


def test_a_text_is_scored_whole(llama: GenerationEngine) -> None:
    text = "naïve card 😀 help"
    ids = llama.reader.text_ids(text)
    [answer] = llama.submit(Request("score", [text]))
    assert answer.values[0] == pytest.approx(by_hand(llama.module, ids, [0.0] + [1.0] * (len(ids) - 1)), rel=1e-5)
    first = len(llama.reader.text_of(ids[:1]).encode())
    assert answer.values[1:] == (len(ids) - 1, len(text.encode()) - first), "the first token has none before it"


def test_of_a_conversation_the_answers_and_their_ends_are_scored(llama: GenerationEngine) -> None:
    conversation = said("hello", "hi there", "and?", "bye")
    vocabulary = llama.reader.vocabulary
    text, weights = "", []
    for turn in conversation.turns:
        for part, weight in ((f"<|im_start|>{turn.role}\n", 0.0), (turn.content + "<|im_end|>", 1.0), ("\n", 0.0)):
            weight = weight if turn.role == "assistant" else 0.0
            weights += [weight] * len(vocabulary.encode([part])[0].ids)
            text += part
    ids = vocabulary.encode([text])[0].ids
    assert len(ids) == len(weights)
    [answer] = llama.submit(Request("score", conversations=[conversation]))
    assert answer.values[0] == pytest.approx(by_hand(llama.module, ids, weights), rel=1e-5)
    assert answer.values[1:] == (sum(weights), len("hi therebye"))


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_an_encoder_decoder_reads_first_and_writes_then(family: str, tmp_path: Path) -> None:
    """Greedy answers score as the sum of their own tokens' log-probabilities, computed from ``generate``'s scores."""
    from transformers import GenerationConfig

    engine = GenerationEngine.open_base(base(tmp_path, family), "translate")
    source = engine.reader.text_ids("why is my refund not back")
    settings = GenerationConfig(
        max_new_tokens=8, do_sample=False, eos_token_id=2, decoder_start_token_id=start_id(engine.module),
        return_dict_in_generate=True, output_scores=True, pad_token_id=0,
    )  # fmt: skip
    module: Any = engine.module
    made = module.generate(torch.tensor([source]), generation_config=settings)
    target = made.sequences[0].tolist()[1:]
    expected = sum(
        float(scores[0].double().log_softmax(-1)[token]) for scores, token in zip(made.scores, target, strict=True)
    )
    rows = [
        {"source": source, "tokens": target, "weights": [1.0] * len(target)},
        {"tokens": source + target, "weights": [0.0] * len(source) + [1.0] * len(target)},
    ]
    for answer in engine.score_rows(rows):
        assert answer.values[:2] == (pytest.approx(expected, rel=1e-5), len(target))
    with pytest.raises(TunesmithError, match="no probability for a text alone"):
        list(engine.submit(Request("score", ["x"])))
    engine.close()


def test_what_cannot_be_asked(llama: GenerationEngine, tmp_path: Path) -> None:
    with pytest.raises(TunesmithError, match="cannot do that"):
        llama.submit(Request("embed", ["x"]))
    with pytest.raises(TunesmithError, match="texts or conversations"):
        llama.submit(Request("generate", ["x"], [said("x")]))
    for wrong in (GenerationOptions(0), GenerationOptions(temperature=-1.0), GenerationOptions(top_p=0.0)):
        with pytest.raises(TunesmithError, match="options of generation"):
            llama.submit(Request("generate", ["x"], options=wrong))
    with pytest.raises(DataError, match="longer than the model reads"):
        list(llama.score_rows([{"tokens": [1] * 300, "weights": [1.0] * 300}]))
    (tmp_path / "files").symlink_to(tiny.encoder("bert"))
    with pytest.raises(ModelError):
        GenerationEngine.open_base(tmp_path, "chat")


def test_a_conversation_that_the_template_refuses_is_named(tmp_path: Path) -> None:
    template = tmp_path / "strict.jinja"
    template.write_text(
        "{% if messages[0].role != 'user' %}{{ raise_exception('starts with a user') }}{% endif %}"
        "{{ messages[-1].content }}{{ eos_token }}"
    )
    engine = GenerationEngine.open_base(base(tmp_path), "chat", str(template))
    asked = [said("fine"), said("no", system="rules")]
    assert engine.reader.refusals(asked)[0] is None
    assert "starts with a user" in str(engine.reader.refusals(asked)[1])
    with pytest.raises(DataError, match=r"number 1[\s\S]*starts with a user"):
        list(engine.submit(Request("generate", conversations=asked)))
    engine.close()
