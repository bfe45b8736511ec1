"""Which tokens are trained, for the templates of real models: every piece and its mask written by hand.

In the expectations pieces stand between blanks: ``␣`` is a space, ``⏎`` a line break, ``+`` before a piece says that
it is trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.word_tokens import write_word_tokenizer

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.models.templates.render import Marked, Renderer
from tunesmith.models.templates.template import ChatTemplate, choose
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.language.built import Kept
from tunesmith.training.language.conversations import Conversations

GOLDEN = Path(__file__).resolve().parents[3] / "golden"

HI = Turn("user", "Hi")
HELLO = Turn("assistant", " Hello you. ")
BYE = Turn("user", "Bye now")
GONE = Turn("assistant", "Bye.")
CHAT = Conversation((HI, HELLO, BYE, GONE))
BRIEF = Conversation((Turn("system", "Be brief."), *CHAT.turns))
THOUGHT = Conversation(
    (HI, Turn("assistant", "<think>\nhm\n</think>\n\nHello."), BYE, Turn("assistant", "<think>\nok\n</think>\n\nBye."))
)
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "rain", "arguments": '{"in": "Bonn"}'}}
CALLED = Conversation(
    (
        HI,
        Turn("assistant", "", tool_calls=(CALL,)),
        Turn("tool", "yes", tool_call_id="abcdefghi", name="rain"),
        Turn("assistant", "It rains."),
        BYE,
        GONE,
    )
)

LLAMA3 = ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
QWEN3 = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
MISTRAL = ("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]")
GEMMA = ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")


@dataclass(frozen=True)
class Case:
    """A conversation under a template, and its golden tokens."""

    template: str
    special: tuple[str, ...]
    bos: str | None
    eos: str | None
    conversation: Conversation
    golden: str
    adds_bos: bool = False


CASES = {
    "llama3": Case(
        "llama3",
        LLAMA3,
        "<|begin_of_text|>",
        "<|eot_id|>",
        BRIEF,
        """<|begin_of_text|> <|start_header_id|> system <|end_header_id|> ⏎ ⏎ Be ␣brief . <|eot_id|>
        <|start_header_id|> user <|end_header_id|> ⏎ ⏎ Hi <|eot_id|>
        <|start_header_id|> assistant <|end_header_id|> ⏎ ⏎ +Hello +␣you +. +<|eot_id|>
        <|start_header_id|> user <|end_header_id|> ⏎ ⏎ Bye ␣now <|eot_id|>
        <|start_header_id|> assistant <|end_header_id|> ⏎ ⏎ +Bye +. +<|eot_id|>""",
    ),
    # Qwen 3 puts an empty thought before the last answer, and none before others.
    "qwen3": Case(
        "qwen3",
        QWEN3,
        None,
        "<|im_end|>",
        BRIEF,
        """<|im_start|> system ⏎ Be ␣brief . <|im_end|> ⏎
        <|im_start|> user ⏎ Hi <|im_end|> ⏎
        <|im_start|> assistant ⏎ +␣Hello +␣you +. +␣ +<|im_end|> ⏎
        <|im_start|> user ⏎ Bye ␣now <|im_end|> ⏎
        <|im_start|> assistant ⏎ +< +think +> +⏎ +⏎ +< +/ +think +> +⏎ +⏎ +Bye +. +<|im_end|> ⏎""",
    ),
    # And drops the thoughts of earlier answers.
    "qwen3, thoughts": Case(
        "qwen3",
        QWEN3,
        None,
        "<|im_end|>",
        THOUGHT,
        """<|im_start|> user ⏎ Hi <|im_end|> ⏎
        <|im_start|> assistant ⏎ +Hello +. +<|im_end|> ⏎
        <|im_start|> user ⏎ Bye ␣now <|im_end|> ⏎
        <|im_start|> assistant ⏎ +< +think +> +⏎ +ok +⏎ +< +/ +think +> +⏎ +⏎ +Bye +. +<|im_end|> ⏎""",
    ),
    "qwen3, tools": Case(
        "qwen3",
        QWEN3,
        None,
        "<|im_end|>",
        CALLED,
        """<|im_start|> user ⏎ Hi <|im_end|> ⏎
        <|im_start|> assistant ⏎ +< +tool_call +> +⏎ +{ +" +name +" +: +␣" +rain +" +, +␣" +arguments +" +: +␣{ +" +in
        +" +: +␣" +Bonn +" +} +} +⏎ +< +/ +tool_call +> +<|im_end|> ⏎
        <|im_start|> user ⏎ < tool_response > ⏎ yes ⏎ < / tool_response > <|im_end|> ⏎
        <|im_start|> assistant ⏎ +It +␣rains +. +<|im_end|> ⏎
        <|im_start|> user ⏎ Bye ␣now <|im_end|> ⏎
        <|im_start|> assistant ⏎ +< +think +> +⏎ +⏎ +< +/ +think +> +⏎ +⏎ +Bye +. +<|im_end|> ⏎""",
    ),
    "mistral": Case(
        "mistral",
        MISTRAL,
        "<s>",
        "</s>",
        CHAT,
        """<s> [INST] ␣Hi [/INST] +␣Hello +␣you +. +</s> [INST] ␣Bye ␣now [/INST] +␣Bye +. +</s>""",
    ),
    "mistral, tools": Case(
        "mistral",
        MISTRAL,
        "<s>",
        "</s>",
        CALLED,
        """<s> [INST] ␣Hi [/INST]
        +[TOOL_CALLS] +␣[ +{ +" +name +" +: +␣" +rain +" +, +␣" +arguments +" +: +␣{ +" +in +" +: +␣" +Bonn +" +} +, +␣"
        +id +" +: +␣" +abcdefghi +" +} +] +</s>
        [TOOL_RESULTS] ␣{ " content " : ␣yes , ␣" call_id " : ␣" abcdefghi " } [/TOOL_RESULTS]
        +␣It +␣rains +. +</s> [INST] ␣Bye ␣now [/INST] +␣Bye +. +</s>""",
    ),
    "gemma": Case(
        "gemma",
        GEMMA,
        "<bos>",
        "<eos>",
        CHAT,
        """<bos> <start_of_turn> user ⏎ Hi <end_of_turn> ⏎
        <start_of_turn> model ⏎ +Hello +␣you +. +<end_of_turn> ⏎
        <start_of_turn> user ⏎ Bye ␣now <end_of_turn> ⏎
        <start_of_turn> model ⏎ +Bye +. +<end_of_turn> ⏎""",
    ),
    "chatml": Case(
        "chatml",
        ("<|im_start|>", "<|im_end|>"),
        None,
        "<|im_end|>",
        BRIEF,
        """<|im_start|> system ⏎ Be ␣brief . <|im_end|> ⏎
        <|im_start|> user ⏎ Hi <|im_end|> ⏎
        <|im_start|> assistant ⏎ +␣Hello +␣you +. +␣ +<|im_end|> ⏎
        <|im_start|> user ⏎ Bye ␣now <|im_end|> ⏎
        <|im_start|> assistant ⏎ +Bye +. +<|im_end|> ⏎""",
    ),
    # No template, and a vocabulary without ChatML's tokens: turns end with the end token.
    "no template, chat": Case(
        "",
        ("<s>", "</s>"),
        "<s>",
        "</s>",
        CHAT,
        """<s> < | im_start | > user ⏎ Hi </s> ⏎
        < | im_start | > assistant ⏎ +␣Hello +␣you +. +␣ +</s> ⏎
        < | im_start | > user ⏎ Bye ␣now </s> ⏎
        < | im_start | > assistant ⏎ +Bye +. +</s> ⏎""",
        adds_bos=True,
    ),
    "no template, pair": Case(
        "plain",
        ("<s>", "</s>"),
        "<s>",
        "</s>",
        Conversation((HI, GONE)),
        "<s> Hi ⏎ +Bye +. +</s>",
        adds_bos=True,
    ),
}


def pieces(golden: str) -> list[tuple[str, bool]]:
    found = []
    for word in golden.split():
        is_trained = word.startswith("+") and len(word) > 1
        found.append((word.removeprefix("+").replace("␣", " ").replace("⏎", "\n"), is_trained))
    return found


@pytest.mark.parametrize("name", CASES)
def test_every_token_and_its_mask_is_as_written_by_hand(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    expected = pieces(case.golden)
    texts = ["".join(piece for piece, _ in expected if piece not in case.special)]
    texts += [piece for piece, _ in expected if piece not in case.special]
    write_word_tokenizer(tmp_path, texts, case.special, bos=case.bos, eos=case.eos, adds_bos=case.adds_bos)
    vocabulary = Vocabulary.open(tmp_path)
    if case.template in ("", "plain"):
        template = choose(tmp_path, vocabulary, choice=case.template or "auto", task="chat")
    else:
        text = (GOLDEN / f"{case.template}.jinja").read_text(encoding="utf-8")
        template = ChatTemplate("own", case.template, text)
    row = {"messages": case.conversation.messages_json(), "tools": None}
    with Renderer(template, vocabulary) as renderer:
        [kept] = Conversations(renderer, vocabulary, "assistant", 4096, "drop").rows([row])
        [marked] = renderer.marked([(row["messages"], None)], "assistant")
    assert isinstance(kept, Kept)
    assert isinstance(marked, Marked)
    made = kept.parts[0]
    found = [
        (vocabulary.fast.id_to_token(int(token)), weight != 0)
        for token, weight in zip(made.tokens_T, made.weights_T, strict=True)
    ]
    assert found == expected
    assert "".join(piece for piece, _ in expected) == marked.text
