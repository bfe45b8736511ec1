"""Real rows as tokens: what was called and said is trained, what came from outside is only seen, no byte is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import tiny
from tests.word_tokens import write_word_tokenizer

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.models.templates.render import Marked, Renderer
from tunesmith.models.templates.template import ChatTemplate
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.language.built import Kept
from tunesmith.training.language.texts import Texts

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

pytestmark = pytest.mark.slow


def test_every_call_of_a_tool_is_trained_and_no_result(shared_data: Path, tmp_path: Path) -> None:
    rows = json.loads((shared_data / "tau_bench_trajectories" / "gpt-4o-airline.json").read_text(encoding="utf-8"))
    write_word_tokenizer(tmp_path, ["a"], ("<|im_start|>", "<|im_end|>"), eos="<|im_end|>")
    vocabulary = Vocabulary.open(tmp_path)
    template = ChatTemplate("own", "qwen3", (GOLDEN / "qwen3.jinja").read_text(encoding="utf-8"))
    conversations = [_conversation(row["traj"]) for row in rows[:60]]
    with Renderer(template, vocabulary) as renderer:
        found = renderer.marked([(one.messages_json(), None) for one in conversations], "assistant")
    num_calls = 0
    for conversation, marked in zip(conversations, found, strict=True):
        assert isinstance(marked, Marked)
        answers = [turn for turn in conversation.turns if turn.role == "assistant"]
        assert len(marked.spans) == len(answers)
        assert (marked.num_changed, marked.num_unlike_asked, marked.num_open) == (0, 0, 0)
        reached = 0
        for turn, (start, end, weight) in zip(answers, marked.spans, strict=True):
            trained, seen = marked.text[start:end], marked.text[reached:start]
            assert weight == 1
            assert trained.endswith("<|im_end|>")
            assert trained.count("<|im_end|>") == 1
            assert turn.content.strip() in trained
            for call in turn.tool_calls:
                num_calls += 1
                assert f'"name": "{call["function"]["name"]}"' in trained
            assert seen.endswith("<|im_start|>assistant\n")
            assert "<tool_call>" not in seen
            assert "<tool_response>" not in trained
            reached = end
    assert num_calls > 200


def _conversation(messages: list[dict[str, object]]) -> Conversation:
    turns = []
    for one in messages:
        calls = one.get("tool_calls") or ()
        turns.append(Turn(one["role"], str(one.get("content") or ""), tool_calls=tuple(calls)))  # type: ignore[arg-type]
    return Conversation(tuple(turns))


@pytest.mark.parametrize("model", ["stories260k", "babyllama-105"])
def test_long_texts_lose_no_token_and_no_byte(shared_data: Path, model: str) -> None:
    vocabulary = Vocabulary.open(shared_data.parent / "models" / model)
    texts = [path.read_text(encoding="utf-8-sig") for path in sorted((shared_data / "fomc_minutes").glob("*.txt"))[:12]]
    made = Texts(vocabulary, 256, "split").rows([{"text": text} for text in texts])
    for text, kept in zip(texts, made, strict=True):
        assert isinstance(kept, Kept)
        predicted = [int(token) for part in kept.parts for token in part.tokens_T[1:]]
        assert predicted == [*vocabulary.encode([text])[0].ids, vocabulary.eos]
        assert all(part.num_tokens <= 256 for part in kept.parts)
        assert sum(part.num_bytes for part in kept.parts) == len(text.rstrip().encode())


def test_a_tokenizer_of_bytes_counts_letters_of_several_tokens_once() -> None:
    vocabulary = Vocabulary.open(tiny.decoder())
    text = "Grüße — 你好, мир 🙂 " * 40 + "Ende"
    [kept] = Texts(vocabulary, 32, "split").rows([{"text": text}])
    assert isinstance(kept, Kept)
    assert len(kept.parts) > 20
    assert sum(part.num_bytes for part in kept.parts) == len(text.encode())
