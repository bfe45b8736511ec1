"""The cookbook's recipes are recipes: each is read, and planned over rows made up for it."""

from __future__ import annotations

import csv
import gzip
import json
import re
import sqlite3
from pathlib import Path

import pytest
from tests import tiny

from tunesmith import api
from tunesmith.recipe.load import load
from tunesmith.recipe.outline import anchor

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "cookbook.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
BLOCKS = [
    pytest.param(block, id=f"{anchor(heading)}-{number}")
    for heading, part in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", part, re.DOTALL), 1)
]
INTENTS = ("delivery", "refund", "invoice")
ITEMS = ("parcel", "bike", "helmet", "lamp", "saddle", "chain", "tyre", "bell", "lock", "pump")
PLACES = ("Berlin", "Vienna", "Bern", "Graz", "Basel", "Bonn", "Linz", "Ulm")
SAID = {
    "delivery": "My {item} to {place} has not come, order {number}",
    "refund": "I sent the {item} back from {place} and want the money for {number}",
    "invoice": "Please send the bill {number} for a {item} to our office in {place}",
    "other": "What is the weather like in {place} today, with {number} clouds and a {item}",
}
ROWS = 240


def texts(labels: tuple[str, ...]) -> list[tuple[str, str]]:
    """Texts that differ, with a label each in turn."""
    return [
        (SAID[label].format(item=ITEMS[n % 10], place=PLACES[n // 10 % 8], number=7919 * (n + 1)), label)
        for n in range(ROWS)
        for label in [labels[n % len(labels)]]
    ]


def write(file: Path, header: str, rows: list[list[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([header.split(","), *rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the cookbook's recipes name."""
    here = tmp_path_factory.mktemp("cookbook")
    said = texts(INTENTS)
    when = [f"{n % 28 + 1:02}/{n // 28 + 1:02}/2025" for n in range(ROWS)]
    tiers = ("Gold", "silver ")
    header = "subject_line,message,intent,customer_id,tier,created_at"
    write(
        here / "tickets.csv",
        header,
        [[f"Ticket {n}", text, label, n % 60, tiers[n % 2], when[n]] for n, (text, label) in enumerate(said)],
    )
    write(here / "log.csv", "message", [[f"Somebody wrote: {text}, again"] for text, _ in texts(("other",))])
    (here / "old").mkdir()
    with gzip.open(here / "old" / "2024.jsonl.gz", "wt", encoding="utf-8") as out:
        for n, (text, label) in enumerate(said[:60]):
            row = {"subject_line": f"Old {n}", "message": text.upper(), "intent": label, "customer_id": str(n)}
            out.write(json.dumps(row) + "\n")
    write(here / "customers.csv", "id,tier", [[n, tiers[n % 2]] for n in range(50)])
    write(here / "scoped.csv", "message,intent", [[*one] for one in texts((*INTENTS, "other"))])
    personal = [f"{text}. Call me: +43 1 534 {n:04}, {label}{n}@example.com, KD-{n:07}" for n, (text, label) in
                enumerate(said)]  # fmt: skip
    write(
        here / "complaints.csv", "message,reason,customer_id", [[one, said[n][1], n] for n, one in enumerate(personal)]
    )
    themes = ("staff", "staff|waiting time", "food|staff", "")
    write(here / "feedback.csv", "comment,themes", [[text, themes[n % 4]] for n, (text, _) in enumerate(said)])
    write(
        here / "essays.csv",
        "body,valence,arousal,dominance",
        [[text, n % 5, n % 7 / 2, n % 3] for n, (text, _) in enumerate(said)],
    )
    tiny.write_decoder(here / "small-llama")
    asked = [
        f"What became of the {ITEMS[n % 10]} sent to {PLACES[n // 10 % 8]}, order {7919 * n}?" for n in range(ROWS)
    ]
    answers = [f"It left on day {n % 28 + 1} and will be there within {n % 9 + 1} days." for n in range(ROWS)]
    write(here / "answered.csv", "question,answer", [list(one) for one in zip(asked, answers, strict=True)])
    with (here / "conversations.jsonl").open("w", encoding="utf-8") as out:
        for question, answer in zip(asked, answers, strict=True):
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            out.write(json.dumps({"messages": turns}) + "\n")
    for name, number in (("policies", ROWS), ("general", 40)):
        paragraphs = [
            f"Rule {7919 * n}: a {ITEMS[n % 10]} goes to {PLACES[n // 10 % 8]} in {n} days." for n in range(number)
        ]
        (here / f"{name}.md").write_text("\n\n".join(paragraphs), encoding="utf-8")
    (here / "synonyms.txt").write_text("parcel, package, delivery\nbill, invoice\n", encoding="utf-8")
    with sqlite3.connect(here / "crm.db") as crm:
        crm.execute("create table tickets (id integer primary key, body, intent, customer_id, updated_at integer)")
        rows = [(n, text, label, n, 1000 + n) for n, (text, label) in enumerate(said)]
        crm.executemany("insert into tickets values (?, ?, ?, ?, ?)", rows)
    crm.close()
    return here


@pytest.mark.parametrize("block", BLOCKS)
def test_every_recipe_is_planned(block: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = folder / "recipe.yaml"
    recipe.write_text(block, encoding="utf-8")
    loaded = load(recipe)
    assert loaded.name != "recipe", "a recipe of the cookbook names its model"
    if any(source.kind == "http" for source in loaded.data.sources):
        return
    monkeypatch.setenv("CRM_URL", f"sqlite:///{folder / 'crm.db'}")
    plan = api.plan(recipe, home=folder / "home")
    kept = plan.rows["rows"]["kept"]
    assert kept == plan.rows["rows"]["read"] - plan.rows["rows"]["removed"] - plan.rows["rows"]["quarantined"]
    # The recipe does what its page says: nearly every made-up row fits it.
    assert kept > 0.9 * ROWS
    assert all(plan.rows["splits"][split] > 0 for split in ("train", "validation", "test"))


def test_the_page_is_one_that_leads_around() -> None:
    assert len(BLOCKS) >= 14
    linked = re.findall(r"\]\(#([^)]+)\)", PAGE)
    assert linked == [anchor(heading) for heading in HEADINGS if anchor(heading) in linked]
    assert set(linked) == {anchor(heading) for heading in HEADINGS}
    for name in re.findall(r"\]\((\w+\.md)", PAGE):
        assert (DOCS / name).is_file()
