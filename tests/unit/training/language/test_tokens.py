"""The stage `tokens`: what is trained, what is cut, what is left out, and that all of it is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests import tiny
from tests.word_tokens import write_word_tokenizer

from tunesmith.core.artifact import Artifact
from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.errors import DataError, ModelError, RecipeError
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.language.rows import TokenRows
from tunesmith.training.language.tokens import Tokens
from tunesmith.training.language.tokens_config import TokensConfig

WORDS = ["one two three four five six seven eight nine ten", "ask", "answer system be brief", "user assistant", "Über"]
SPECIAL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")


def base(folder: Path, **changes: Any) -> Artifact:
    settings: dict[str, Any] = {"bos": "<s>", "eos": "</s>", "adds_bos": True}
    facts = {"network": changes.pop("network", "decoder"), "max_positions": changes.pop("max_positions", 64)}
    num_vocabulary = changes.pop("num_vocabulary", None)
    words = [word for line in WORDS for word in line.split()]
    spaced = [*words, *(f" {word}" for word in words)]
    write_word_tokenizer(folder / "files", [*WORDS, *spaced, "\n \n."], SPECIAL, **(settings | changes))
    facts["num_vocabulary"] = num_vocabulary or Vocabulary.open(folder / "files").size
    facts["max_tokens"] = facts["max_positions"]
    return tiny.artifact("base", "base", folder, facts)


def pair(question: str, answer: str, **more: Any) -> Conversation:
    return Conversation((Turn("user", question), Turn("assistant", answer, **more)))


def splits(folder: Path, train: Sequence[Any], source: str = "own", **others: Sequence[Any]) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": train, "validation": others.get("validation", ()), "test": others.get("test", ())}
    for name, rows in parts.items():
        frame = pl.DataFrame(
            {
                "row_id": [f"{name}-{place}" for place in range(len(rows))],
                "source_id": [source if place % 2 == 0 else others.get("other", source) for place in range(len(rows))],
                "text": [row if isinstance(row, str) else row.answer for row in rows],
                "messages": [
                    pair("", row).messages_json() if isinstance(row, str) else row.messages_json() for row in rows
                ],
                "tools": [None if isinstance(row, str) else row.tools_json() for row in rows],
            },
            schema=dict.fromkeys(("row_id", "source_id", "text", "messages", "tools"), pl.String),
        )
        frame.write_parquet(folder / f"{name}.parquet")
    return tiny.artifact("splits", "splits", folder, {"splits": {name: len(rows) for name, rows in parts.items()}})


def run(tmp_path: Path, rows: Any, *, model: Artifact | None = None, **config: Any) -> tuple[dict[str, Any], Path]:
    given = {
        "base": model or base(tmp_path / "base"),
        "splits": rows if isinstance(rows, Artifact) else splits(tmp_path / "splits", rows),
    }
    context = tiny.FakeContext(tmp_path)
    facts = Tokens(TokensConfig(**({"task": "generate"} | config))).run(given, context)["tokens"]
    assert json.loads(json.dumps(facts)) == facts
    for counts in (*facts["by_source"].values(), *facts["by_split"].values()):
        assert counts["rows"] == counts["kept"] + counts["dropped"] + counts["untrained_rows"]
        assert sum(counts["reasons"].values()) == counts["dropped"] + counts["untrained_rows"]
    return facts, context.out / "tokens"


def shown(folder: Path, tmp_path: Path, row: int = 0, split: str = "train") -> str:
    """A row as text, trained pieces with + before them."""
    fast = Vocabulary.open(tmp_path / "base" / "files").fast
    found = TokenRows(folder, split)[row]
    pieces = [fast.id_to_token(token).replace(" ", "␣").replace("\n", "⏎") for token in found["tokens"]]
    return " ".join(("+" if weight else "") + piece for piece, weight in zip(pieces, found["weights"], strict=True))


def test_a_pair_is_prompt_break_answer_and_end(tmp_path: Path) -> None:
    facts, folder = run(tmp_path, [pair("ask one", "two three")])
    assert shown(folder, tmp_path) == "<s> ask ␣one ⏎ +two +␣three +</s>"
    assert facts["template"]["name"] == "plain"
    assert facts["by_source"]["own"]["num_bytes"] == len("two three")
    assert facts["ends"] == [Vocabulary.open(tmp_path / "base" / "files").eos]
    [row] = pl.read_parquet(folder / "train.rows.parquet").to_dicts()
    assert row == {
        "row_id": "train-0",
        "source_id": "own",
        "part": 0,
        "num_tokens": 7,
        "num_trained": 3,
        "num_cut": 0,
        "num_bytes": 9,
    }
    assert facts["samples"] == [
        [["<s>", 0.0], ["ask", 0.0], [" one", 0.0], ["\n", 0.0], ["two", 1.0], [" three", 1.0], ["</s>", 1.0]]
    ]


CHAT = Conversation((*pair("ask", "one").turns, *pair("ask", "two", weight=0.5).turns, *pair("ask", "three").turns))


@pytest.mark.parametrize(
    ("train_on", "expected"),
    [
        ("assistant", [("one", 1), ("</s>", 1), ("two", 0.5), ("</s>", 0.5), ("three", 1), ("</s>", 1)]),
        ("last", [("three", 1), ("</s>", 1)]),
        ("all", [("ask", 1), ("\n", 1), ("one", 1), ("</s>", 1), ("\n", 1), ("ask", 1), ("\n", 1), ("two", 0.5)]),
    ],
)
def test_what_is_trained(tmp_path: Path, train_on: str, expected: list[tuple[str, float]]) -> None:
    facts, _ = run(tmp_path, [CHAT], train_on=train_on)
    trained = [(piece, weight) for piece, weight in facts["samples"][0] if weight]
    assert trained[: len(expected)] == expected
    assert trained[-1] == ("</s>", 1)


def test_a_turn_of_weight_zero_is_only_seen(tmp_path: Path) -> None:
    rows = [
        Conversation((*pair("ask", "one", weight=0.0).turns, *pair("ask", "two").turns)),
        pair("a", "b", weight=0.0),
    ]
    facts, folder = run(tmp_path, rows)
    assert shown(folder, tmp_path) == "<s> ask ⏎ one </s> ⏎ ask ⏎ +two +</s>"
    assert facts["by_source"]["own"]["reasons"] == {"no answer to train on": 1}
    assert facts["by_source"]["own"]["untrained_rows"] == 1


LONG = pair("one two three four five six", "seven eight nine ten")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("truncate_right", "<s> one ␣two ␣three ␣four ␣five ␣six ⏎ +seven +␣eight"),
        ("truncate_left", "<s> ␣four ␣five ␣six ⏎ +seven +␣eight +␣nine +␣ten +</s>"),
    ],
)
def test_a_cut_is_counted_and_the_start_token_stays(tmp_path: Path, policy: str, expected: str) -> None:
    facts, folder = run(tmp_path, [LONG, pair("ask", "one")], length_policy=policy, max_tokens=10)
    assert shown(folder, tmp_path) == expected
    counts = facts["by_source"]["own"]
    assert (counts["truncated"], counts["cut_tokens"], counts["kept"]) == (1, 3, 2)
    assert counts["cut_trained_tokens"] == (3 if policy == "truncate_right" else 0)
    assert pl.read_parquet(folder / "train.rows.parquet")["num_cut"].to_list() == [3, 0]


def test_a_long_row_is_left_out_by_default_and_written_down(tmp_path: Path) -> None:
    facts, folder = run(tmp_path, [LONG, pair("ask", "one")], max_tokens=10)
    assert facts["policy"] == "drop"
    assert facts["by_source"]["own"]["reasons"] == {"longer than 10 tokens": 1}
    left = pl.read_parquet(folder / "train.left_out.parquet")
    assert left.rows() == [("train-0", "own", "longer than 10 tokens", 13)]
    assert len(TokenRows(folder, "train")) == 1


def test_refuse_says_how_many_by_source(tmp_path: Path) -> None:
    rows = splits(tmp_path / "splits", [LONG, pair("ask", "one"), LONG, LONG], other="crm")
    with pytest.raises(DataError, match="the length policy is `refuse`") as error:
        run(tmp_path, rows, length_policy="refuse", max_tokens=10)
    assert error.value.seen == "crm: 1 rows, own: 2 rows"


def test_a_conversation_is_split_between_exchanges_with_its_system_turn(tmp_path: Path) -> None:
    system = Turn("system", "be brief")
    said = Conversation((system, *pair("ask", "one").turns, *pair("ask", "two").turns, *LONG.turns, *CHAT.turns[4:]))
    facts, folder = run(tmp_path, [said], length_policy="split", max_tokens=14)
    assert [shown(folder, tmp_path, row) for row in range(len(TokenRows(folder, "train")))] == [
        "<s> be ␣brief ⏎ ask ⏎ +one +</s> ⏎ ask ⏎ +two +</s>",
        "<s> be ␣brief ⏎ ask ⏎ +three +</s>",
    ]
    counts = facts["by_source"]["own"]
    assert (counts["rows"], counts["kept"], counts["split"], counts["sequences"]) == (1, 1, 1, 2)
    assert counts["cut_tokens"] == 13  # the exchange that is too long alone
    assert pl.read_parquet(folder / "train.rows.parquet")["part"].to_list() == [0, 1]


@pytest.mark.parametrize("max_tokens", [8, 9, 64])
def test_every_token_of_a_text_is_predicted_once_and_every_byte_counted(tmp_path: Path, max_tokens: int) -> None:
    text = "Über one two three four five six seven eight nine ten one two three"
    rows = splits(tmp_path / "splits", [text, "one", ""])
    facts, folder = run(tmp_path, rows, method="continued_pretraining", max_tokens=max_tokens)
    found = TokenRows(folder, "train")
    table = found.table
    vocabulary = Vocabulary.open(tmp_path / "base" / "files")
    predicted: list[int] = []
    for place in range(table.height - 1):
        assert table["num_tokens"][place] <= max_tokens
        row = found[place]
        assert row["weights"] == [0.0] + [1.0] * (len(row["tokens"]) - 1)
        if predicted:
            assert row["tokens"][0] == predicted[-1]
        predicted += row["tokens"][1:]
    assert predicted == [*vocabulary.encode([text])[0].ids, vocabulary.eos]
    assert table.filter(pl.col("row_id") == "train-0")["num_bytes"].sum() == len(text.encode())
    counts = facts["by_source"]["own"]
    assert counts["num_bytes"] == len(text.encode()) + 3
    assert counts["cut_tokens"] == 0
    assert counts["reasons"] == {"no text": 1}
    assert facts["template"]["name"] == "none"


def test_texts_without_a_start_token_begin_with_the_end_token(tmp_path: Path) -> None:
    model = base(tmp_path / "base", bos=None, adds_bos=False)
    _, folder = run(tmp_path, ["one two"], model=model, method="continued_pretraining")
    assert shown(folder, tmp_path) == "</s> +one +␣two +</s>"


def test_an_encoder_reads_parts_in_the_frame_of_its_tokenizer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, processors

    model = base(tmp_path / "base", network="encoder")
    path = tmp_path / "base" / "files" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    pieces = [(one, tokenizer.token_to_id(one)) for one in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=pieces)
    tokenizer.save(str(path))
    text = "one two three four five six seven eight"
    _, folder = run(tmp_path, [text], model=model, method="continued_pretraining", max_tokens=8)
    assert shown(folder, tmp_path, 0) == "<s> +one +␣two +␣three +␣four +␣five +␣six </s>"
    assert shown(folder, tmp_path, 1) == "<s> +␣seven +␣eight </s>"
    assert TokenRows(folder, "train").table["num_bytes"].sum() == len(text)


def test_an_encoder_decoder_reads_lines_and_writes_the_answer_with_its_end(tmp_path: Path) -> None:
    model = base(tmp_path / "base", network="encoder_decoder", adds_bos=False)
    rows = [Conversation((Turn("system", "be brief"), *pair("ask", "one two").turns)), LONG]
    facts, folder = run(tmp_path, rows, model=model, max_tokens=8)
    assert shown(folder, tmp_path) == "be ␣brief ⏎ ask +one +␣two +</s>"
    assert facts["by_source"]["own"]["kept"] == 2  # each side has the context to itself


def test_only_the_sources_of_a_phase_are_read(tmp_path: Path) -> None:
    rows = splits(tmp_path / "splits", [pair("ask", "one"), pair("ask", "two")], other="crm")
    facts, folder = run(tmp_path, rows, sources=("crm",))
    assert list(facts["by_source"]) == ["crm"]
    assert shown(folder, tmp_path) == "<s> ask ⏎ +two +</s>"


def test_nothing_to_train_refuses_with_the_reasons_by_source(tmp_path: Path) -> None:
    rows = splits(tmp_path / "splits", [LONG, pair("ask", "one", weight=0.0), LONG], other="crm")
    with pytest.raises(DataError, match="no token of the training rows would be trained") as error:
        run(tmp_path, rows, max_tokens=10)
    assert error.value.seen == "crm: 1 rows: 1 no answer to train on; own: 2 rows: 2 longer than 10 tokens"
    assert "length_policy" in str(error.value.next)


def test_pad_that_is_the_end_token_is_trained_as_end(tmp_path: Path) -> None:
    _, folder = run(tmp_path, [pair("ask", "one")], model=base(tmp_path / "base", pad="</s>"))
    assert shown(folder, tmp_path) == "<s> ask ⏎ +one +</s>"


def test_without_an_end_token_answers_would_not_end(tmp_path: Path) -> None:
    model = base(tmp_path / "base", eos=None)
    with pytest.raises(ModelError, match="no end"):
        run(tmp_path, ["one"], model=model, method="continued_pretraining")
    with pytest.raises(ModelError, match="no end") as error:
        run(tmp_path, [pair("ask", "one")], model=model)
    assert "eos_token" in str(error.value.seen)


def test_a_template_that_ends_nothing_gets_the_end_token(tmp_path: Path) -> None:
    template = tmp_path / "open.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}\n{% endfor %}", encoding="utf-8")
    facts, folder = run(tmp_path, [CHAT], template=str(template))
    assert shown(folder, tmp_path) == "ask ⏎ +one +⏎ ask ⏎ +two +⏎ ask ⏎ +three +⏎ +</s>"
    assert facts["by_source"]["own"]["open_turns"] == 2
    assert facts["template"]["name"] == "open.jinja"
    assert TokensConfig(task="chat", template=str(template)).template_text == template.read_text(encoding="utf-8")


def test_the_start_token_of_a_template_is_not_doubled(tmp_path: Path) -> None:
    model = base(
        tmp_path / "base", chat_template="{{ bos_token }}{% for m in messages %}{{ m.content }}</s>{% endfor %}"
    )
    _, folder = run(tmp_path, [pair("ask", "one")], model=model)
    assert shown(folder, tmp_path) == "<s> ask </s> +one +</s>"


def test_ids_that_the_model_has_no_embedding_for_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no embedding") as error:
        run(tmp_path, [pair("ask", "one")], model=base(tmp_path / "base", num_vocabulary=5))
    assert "row train-0" in str(error.value.seen)
    assert "'" in str(error.value.seen)


def test_more_tokens_than_the_model_reads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than the model can read"):
        run(tmp_path, [pair("ask", "one")], max_tokens=65)


def test_unknown_signs_are_counted(tmp_path: Path) -> None:
    model = base(tmp_path / "base")
    path = tmp_path / "base" / "files" / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "unk_token": "<unk>"}), encoding="utf-8")
    facts, _ = run(tmp_path, [pair("ask", "one zebra")], model=model)
    assert facts["by_source"]["own"]["unknown_tokens"] == 1


def test_words_that_are_special_tokens_are_counted_and_masks_stay_right(tmp_path: Path) -> None:
    facts, folder = run(tmp_path, [pair("ask </s> one", "two</s> three"), pair("ask", "one")])
    assert shown(folder, tmp_path) == "<s> ask ␣ </s> ␣one ⏎ +two +</s> +␣three +</s>"
    assert facts["by_source"]["own"]["control_rows"] == 1


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    rows = [CHAT, LONG, pair("ask", "one")]
    for name in ("a", "b"):
        run(tmp_path / name, rows, task="chat")
    files = sorted(file.name for file in (tmp_path / "a" / "out" / "tokens").iterdir())
    assert len(files) == 16
    for name in files:
        both = [(tmp_path / one / "out" / "tokens" / name).read_bytes() for one in ("a", "b")]
        assert both[0] == both[1], name


def test_tables_larger_than_memory_are_joined_from_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.training.language.token_files.ROWS_TOGETHER", 2)
    rows = [pair("ask", "one") if place % 3 else LONG for place in range(11)]
    _, folder = run(tmp_path, rows, max_tokens=10)
    kept, left = (pl.read_parquet(folder / f"train.{name}.parquet") for name in ("rows", "left_out"))
    assert kept["row_id"].to_list() == [f"train-{place}" for place in range(11) if place % 3]
    assert left["row_id"].to_list() == [f"train-{place}" for place in range(0, 11, 3)]
    assert not list(folder.glob("*.part-*"))
    assert len(TokenRows(folder, "train")) == kept.height


def test_rows_are_read_where_they_lie(tmp_path: Path) -> None:
    _, folder = run(tmp_path, [pair("ask", "one"), pair("ask two", "three")])
    rows = TokenRows(folder, "train")
    assert isinstance(rows.arrays(0)[0].base, np.memmap) or isinstance(rows.arrays(0)[0], np.memmap)
    assert rows.lengths.tolist() == [5, 6]
    assert rows[-1] == rows[1]
    assert [len(row["tokens"]) for row in rows] == [5, 6]
    assert rows[0:1] == [rows[0]]
    with pytest.raises(IndexError):
        rows[2]
    assert len(TokenRows(folder, "test")) == 0
    (folder / "train.tokens.npy").write_bytes((folder / "test.tokens.npy").read_bytes())
    with pytest.raises(DataError, match="do not belong together"):
        TokenRows(folder, "train")


def test_splitting_and_the_last_turn_exclude_each_other() -> None:
    with pytest.raises(RecipeError, match="several last turns"):
        TokensConfig(task="chat", train_on="last", length_policy="split")
