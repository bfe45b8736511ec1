"""Noise filters, each on what it is for and on what it must leave."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.data.test_prepare import dataset, messages, prepare

from tunesmith.data import gibberish
from tunesmith.data.noise import quarantine
from tunesmith.data.noise_config import NoiseConfig
from tunesmith.data.sift import Sifted

OFF: dict[str, Any] = {"urls_only": False, "repeated_character": None}
SOUND = [
    "ok",
    "Why?",
    "Where is my card",
    "order 4711",
    "see https://a.example for more",
    "sooo good!!!",
    "请帮助我",
    "a@b.c said no",
]


def caught(texts: list[str], **config: Any) -> list[str]:
    """The texts that a filter puts in quarantine."""
    ids = [f"r{i}" for i in range(len(texts))]
    frame = pl.DataFrame(
        {"row_id": ids, "source_id": ["s"] * len(ids), "subject": ["p"] * len(ids), "parents": [["p"]] * len(ids),
         "text": texts, "label": ["a"] * len(ids)}
    )  # fmt: skip
    sifted = Sifted(frame, ("text", "label"))
    quarantine(sifted, NoiseConfig(**config))
    left = set(sifted.kept["row_id"])
    assert sifted.quarantined().height == len(texts) - len(left)
    return [text for row_id, text in zip(ids, texts, strict=True) if row_id not in left]


def test_the_defaults_leave_short_texts() -> None:
    assert caught(SOUND) == []


@pytest.mark.parametrize(
    ("config", "noise"),
    [
        (
            {"urls_only": True},
            ["https://a.example/x", "www.a.example, http://b.example!", "a@b.example", "@jane www.x.y"],
        ),
        ({"repeated_character": 10}, ["aaaaaaaaaaaaaaa", "-" * 40, "what " + "!" * 12, "哈" * 10]),
        ({"letters": 0.5}, ["4711 0815", "?!...", "12/03/2024 a"]),
        ({"repeated_words": 0.5}, ["buy " * 12, "No no NO no no no no no no way out here"]),
        ({"min_words": 2}, ["ok", "Why?"]),
        ({"max_words": 6}, ["one two three four five six seven", "请帮助我找我的卡"]),
    ],
)
def test_each_filter(config: dict[str, Any], noise: list[str]) -> None:
    sound = [text for text in SOUND if text not in noise and (config != {"letters": 0.5} or text != "order 4711")]
    assert caught([*sound, *noise], **{**OFF, **config}) == noise


def test_a_run_of_characters_does_not_reach_into_the_next_text() -> None:
    assert caught(["aaaaaa", "aaaaaa", "aaaaaaaaaa"], **OFF | {"repeated_character": 10}) == ["aaaaaaaaaa"]


def test_struck_keys_are_found_among_sound_texts() -> None:
    draw = random.Random(0)
    sentence = "please tell me where my new card is and why the last payment from my account was not shown today"
    words = re.findall(r"\w+", sentence)
    sound = [" ".join(draw.choice(words) for _ in range(8)) for _ in range(600)]
    noise = ["".join(draw.choice("asdfghjklqwertyuiopzxcvbnm ") for _ in range(40)) for _ in range(20)]
    found = caught([*sound, *noise], **OFF | {"gibberish": 6.0})
    assert set(found) <= set(noise) and len(found) >= 19
    # Too few texts to learn from, and texts too short to judge: nothing.
    assert caught([*sound[:50], *noise], **OFF | {"gibberish": 6.0}) == []
    assert not gibberish.z_scores(pl.Series([*sound, "xqzjk", ""]))[-2:].any()


def test_z_scores_by_hand() -> None:
    texts = ["abababababababab"] * 199 + ["aaaaaaaaaaaaaaaa"]
    score = gibberish.z_scores(pl.Series(texts))
    # In "abab…" every b follows an a: a → b is near certain, a → a is not.
    assert score[-1] < -6 < score[0]
    assert score[:-1] == pytest.approx(score[0])


def test_lines_that_repeat_and_lines_that_many_share(tmp_path: Path) -> None:
    rows = messages(60)
    rows["text"] = [f"{text}\nSent from my phone today" if i < 20 else text for i, text in enumerate(rows["text"])]
    rows["text"] += [
        "one more thing\r\nSENT from my phone today ",
        "Sent from my phone today\n\n",
        "again\nagain\nagain\nagain\n",
    ]
    rows["label"] += ["card"] * 3
    config = {"boilerplate": {}, "repeated_lines": 0.3}
    facts, _, tables = prepare(tmp_path / "out", {"s": dataset(tmp_path, "s", **rows)}, noise=config)
    assert facts["quarantined"] == {
        "`text` is boilerplate only: every line of it stands in many texts": 1,
        "text repeats its own lines: more than 30% of it": 1,
    }
    kept = pl.concat([tables[name] for name in ("train", "validation", "test")])["text"]
    assert not kept.str.contains("(?i)sent from").any() and "one more thing" in kept.to_list()
    cut = [one for one in facts["changes"] if one["step"] == "boilerplate"]
    assert [(one["outcome"], one["rows"]) for one in cut] == [("changed", 21)]


def test_reasons_are_counted_by_source(tmp_path: Path) -> None:
    sources = {
        "a": dataset(
            tmp_path, "a", text=[*messages(40)["text"], "http://x.example"], label=[*messages(40)["label"], "card"]
        ),
        "b": dataset(tmp_path, "b", text=["www.x.y", "-" * 30], label=["card"] * 2),
    }
    facts, _, _ = prepare(tmp_path / "out", sources)
    links = "noise: nothing but links, addresses and @names"
    assert facts["lost_by_source"] == {"a": {links: 1}, "b": {"noise: a character 10 times in a row": 1, links: 1}}
