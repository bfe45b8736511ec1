"""Templates are strangers' programs: what they may not do, and what is said then."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.word_tokens import write_word_tokenizer

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.errors import DataError, ModelError
from tunesmith.models.templates import built_in, environment
from tunesmith.models.templates.render import Marked, Refused, Renderer
from tunesmith.models.templates.template import ChatTemplate
from tunesmith.models.templates.vocabulary import Vocabulary

PAIR = Conversation((Turn("user", "Hi"), Turn("assistant", "Bye.")))
ITEM = (PAIR.messages_json(), None)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("words")
    write_word_tokenizer(folder, ["Hi Bye."], ("<s>", "</s>"), bos="<s>", eos="</s>")
    return Vocabulary.open(folder)


@pytest.fixture
def opened(vocabulary: Vocabulary) -> Iterator[object]:
    renderers: list[Renderer] = []

    def make(text: str, today: str | None = None) -> Renderer:
        renderers.append(Renderer(ChatTemplate("mine.jinja", "mine.jinja", text), vocabulary, today))
        return renderers[-1]

    yield make
    for one in renderers:
        one.close()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "1 s of processor time"),
        ("{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}", "16,000,000 characters"),
        ("{{ messages[0].content * 3000000000 }}", "512 MB of memory"),
        ("{% set n = namespace(x='a') %}{% for a in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}", "512 MB"),
    ],
    ids=["loops", "writes a gigabyte", "multiplies", "doubles"],
)
def test_a_template_that_takes_too_much_ends_in_an_error(opened, text: str, what: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ModelError, match="more time or memory") as error:
        opened(text).marked([ITEM] * 3, "assistant")
    assert what in str(error.value.seen)
    assert '"content":"Hi"' in str(error.value.seen)
    assert "mine.jinja" in str(error.value.next)


def test_the_row_that_takes_too_much_is_named(opened) -> None:  # type: ignore[no-untyped-def]
    text = "{% if messages[0].content == 'boom' %}{{ 'x' * 3000000000 }}{% endif %}{{ messages[1].content }}</s>"
    bad = Conversation((Turn("user", "boom"), Turn("assistant", "Bye.")))
    with pytest.raises(ModelError) as error:
        opened(text).marked([ITEM, (bad.messages_json(), None), ITEM], "assistant")
    assert "boom" in str(error.value.seen)


def test_a_process_that_does_not_answer_is_ended_and_started_again(opened, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    renderer = opened("{{ messages[0].content }}")
    assert renderer.prompts([PAIR]) == ["Hi"]
    renderer._process.send_signal(signal.SIGSTOP)  # it is asked, and never answers
    with monkeypatch.context() as patched:
        patched.setattr("tunesmith.models.templates.render.WAIT_S", 0.2)
        assert renderer._ask({"items": [ITEM], "train_on": "assistant"}) is None
    assert renderer._process is None
    assert renderer.prompts([PAIR]) == ["Hi"]


def test_an_operation_that_no_signal_ends_is_ended_with_its_process(opened, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    renderer = opened("{{ messages[0].content }}")
    died: list[object] = []
    monkeypatch.setattr(renderer, "_ask", lambda asked: died.append(asked))
    with pytest.raises(ModelError, match="more time or memory") as error:
        renderer.marked([ITEM, ITEM], "assistant")
    assert "its process was ended" in str(error.value.seen)
    assert len(died) == 2  # both, then the first alone, to say of which


def test_what_a_template_says_is_passed_on_and_other_rows_go_on(opened) -> None:  # type: ignore[no-untyped-def]
    text = "{% for m in messages %}{% if m.content == 'no' %}{{ raise_exception('No ' + m.role + '!') }}{% endif %}"
    text += "{{ m.content }}</s>{% endfor %}"
    bad = Conversation((Turn("user", "no"), Turn("assistant", "Bye.")))
    found = opened(text).marked([ITEM, (bad.messages_json(), None), ITEM], "assistant")
    assert found[1] == Refused("the template says: No user!")
    assert isinstance(found[0], Marked)
    assert found[0] == found[2]
    with pytest.raises(DataError, match="No user!"):
        opened(text).prompt(bad)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "SecurityError|not safely callable|unsafe"),
        ("{{ nothing.here }}", "undefined"),
        ("{{ 1 + 'a' }}", "TypeError"),
    ],
)
def test_the_sandbox_holds(opened, text: str, said: str) -> None:  # type: ignore[no-untyped-def]
    [found] = opened(text).prompts([PAIR])
    assert isinstance(found, Refused)
    assert re.search(said, found.reason)


def test_a_template_that_cannot_be_read_names_its_line(opened) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ModelError, match="cannot be read") as error:
        opened("fine\n{% if %}").prompts([PAIR])
    assert "line 2" in str(error.value.seen)
    with pytest.raises(ModelError, match="cannot be read") as error:
        opened("{{ 9**(9**9) }}").prompts([PAIR])
    assert "more than 1 s of processor time" in str(error.value.seen)


def test_the_environment_is_that_of_transformers(opened) -> None:  # type: ignore[no-untyped-def]
    text = "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}"
    text += "{% generation %}{{ {'a': '<é>'} | tojson }}{% endgeneration %}{% endfor %}"
    text += " {{ strftime_now('%d.%m.%Y') }} {{ tools is none }} {{ documents is none }}"
    text += " {{ bos_token }}{{ add_generation_prompt }}"
    assert opened(text, "2024-07-26").prompts([PAIR]) == ['{"a": "<é>"} 26.07.2024 True True <s>True']
    assert opened(text, "2024-07-26").prompts([PAIR], is_asked=False)[0].endswith("<s>False")


def test_transformers_renders_the_same(opened) -> None:  # type: ignore[no-untyped-def]
    from transformers.utils.chat_template_utils import render_jinja_template

    golden = Path(__file__).resolve().parents[3] / "golden"
    for name in ("llama3", "qwen3", "mistral", "gemma", "chatml"):
        text = (golden / f"{name}.jinja").read_text(encoding="utf-8")
        messages = [turn.to_message() for turn in PAIR.turns]
        [expected], _ = render_jinja_template([messages], chat_template=text, bos_token="<s>", eos_token="</s>")
        assert opened(text).prompts([PAIR], is_asked=False) == [expected]
    # Ours are saved with a model as chat_template.jinja, and are read there by others.
    system = Conversation(
        (Turn("system", "Be brief."), *PAIR.turns), ({"type": "function", "function": {"name": "f"}},)
    )
    for text, asked in (
        (built_in.chatml(has_bos=True, end=None), system),
        (built_in.chatml(has_bos=False, end="<|im_end|>"), system),
        (built_in.plain(has_bos=True), PAIR),
    ):
        for is_asked in (True, False):
            [expected], _ = render_jinja_template(
                [[turn.to_message() for turn in asked.turns]],
                tools=[dict(tool) for tool in asked.tools] or None,
                chat_template=text,
                add_generation_prompt=is_asked,
                bos_token="<s>",
                eos_token="</s>",
            )
            assert opened(text).prompts([asked], is_asked=is_asked) == [expected]


def test_threads_ask_one_after_the_other(opened) -> None:  # type: ignore[no-untyped-def]
    renderer = opened("{{ messages[0].content }}")
    asked = [Conversation((Turn("user", f"number {place}"),)) for place in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(renderer.prompt, asked))
    assert found == [one.turns[0].content for one in asked]


def test_the_process_knows_none_of_our_secrets(opened, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("API_KEY", "secret")
    renderer = opened("{{ messages[0].content }}")
    renderer.prompts([PAIR])
    environ = Path(f"/proc/{renderer._process.pid}/environ")
    if not environ.exists():
        pytest.skip("no /proc here")
    assert b"secret" not in environ.read_bytes()


def test_bounds_are_those_that_the_error_names() -> None:
    assert (environment.MAX_SECONDS, environment.MAX_CHARS) == (1.0, 16_000_000)
    assert environment.MAX_MEMORY_BYTES == 512_000_000
