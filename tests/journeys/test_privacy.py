"""Twenty people's data through a whole run: after `ingest` it is nowhere, and the model is asked as it was taught."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from tests.tiny import sentences, write_encoder

from tunesmith import api
from tunesmith.cli.main import main

pytestmark = pytest.mark.slow

FIRST = ("Ada", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hana", "Ines", "Jorge", "Kofi", "Lena", "Mateo",
         "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Sven", "Tomasz")  # fmt: skip
RECIPE = """\
name: desk
task: classify
data:
  sources: [{{kind: csv, path: rows.csv, columns: {{text: text, label: label, contact: contact}}}}]
  privacy: {privacy}
model: encoder
train: {{trainable: head, epochs: 1, precision: float32}}
evaluate: {{bootstrap_samples: 200}}
gate: {{}}
"""


def card(number: int) -> str:
    """A card number of that person, with its check digit."""
    from stdnum import luhn

    digits = f"41111111{number:07d}"
    return digits + luhn.calc_check_digit(digits)


def iban(number: int) -> str:
    """A German account of that person, with its check digits."""
    from stdnum import iban as plan

    account = f"37040044{number:010d}"
    return f"DE{plan.calc_check_digits('DE00' + account)}{account}"


PEOPLE = [
    {
        "name": f"{first} Verhoeven{place}",
        "email": f"{first.lower()}.verhoeven{place}@mailbox-{place}.example.org",
        "phone": f"+49 30 9018{place:02d}77",
        "card": card(1234500 + place),
        "iban": iban(9876543 + place),
    }
    for place, first in enumerate(FIRST)
]
CANARIES = sorted({value for person in PEOPLE for value in person.values()} | {f"Verhoeven{n}" for n in range(20)})


def plant(folder: Path) -> None:
    """A file of rows, of which twenty hold one person each, and one that is no row."""
    texts, labels = sentences(180)
    with (folder / "rows.csv").open("w", newline="") as stream:
        write = csv.writer(stream)
        write.writerow(("text", "label", "contact"))
        for place, (text, label) in enumerate(zip(texts, labels, strict=True)):
            one = PEOPLE[place] if place < len(PEOPLE) else None
            more = (
                ""
                if one is None
                else (f". My name is {one['name']}, card {one['card']}, refund to {one['iban']} or call {one['phone']}")
            )
            write.writerow((text + more, label, "" if one is None else one["email"]))
        write.writerow(("too", "many", PEOPLE[0]["email"], PEOPLE[1]["email"]))
    write_encoder("bert", folder / "encoder")


def said_in(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a folder, as text: tables and databases row by row."""
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        if file.suffix == ".parquet":
            yield file, "\n".join(map(str, pl.read_parquet(file).rows()))
        elif file.suffix == ".db":
            with sqlite3.connect(file) as connection:
                yield file, "\n".join(connection.iterdump())
        else:
            yield file, file.read_bytes().decode("utf-8", "replace")


def leaks(text: str) -> list[str]:
    """The planted values in a text."""
    return [one for one in CANARIES if one.lower() in text.lower()]


def run(folder: Path, privacy: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """The exit code, standard output, and all that was said."""
    (folder / "recipe.yaml").write_text(RECIPE.format(privacy=privacy))
    code = main(["run", "recipe.yaml", "--json"])
    shown = capsys.readouterr()
    return code, shown.out, shown.out + shown.err


def test_redacted_people_are_nowhere_after_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNESMITH_HOME", raising=False)
    plant(tmp_path)
    code, out, shown = run(tmp_path, "redact", capsys)
    assert code == 0, shown
    assert leaks(shown) == []
    result = json.loads(out)

    with api.open_session(None, "default") as session:
        keys = {step.name: step.step_key for step in session.ledger.run_steps(result["run"])}
        records = session.ledger.find_step(keys["ingest:csv-1"] or "") or {}
        raw = session.workspace.blobs.open(records["dataset"].digest)
    seen = {file: leaks(text) for file, text in said_in(tmp_path / ".tunesmith")}
    inside = [one for file, found in seen.items() if raw in file.parents for one in found]
    assert set(CANARIES) <= set(inside), "the look sees what is there: all of it lies in the raw dataset"
    assert {file: found for file, found in seen.items() if found and raw not in file.parents} == {}
    names = {file.name for file in seen if raw not in file.parents}
    assert {"train.parquet", "quarantine.parquet", "report.html", "events.jsonl", "model.json", "ledger.db"} <= names

    model = api.load(f"run:{result['run']}")
    asked = f"refund please, {PEOPLE[3]['email']} or {PEOPLE[3]['phone']}"
    assert model.predict([asked]) == model.predict(["refund please, [EMAIL] or [PHONE]"])
    assert model.as_learned([asked]) == ["refund please, [EMAIL] or [PHONE]"]
    model.close()
    (tmp_path / "new.csv").write_text(f"text,label\n{asked.replace(',', ';')},refund\n")
    api.predict_file(f"run:{result['run']}", "new.csv", "out.csv")
    assert asked.replace(",", ";") in (tmp_path / "out.csv").read_text(), "a team gets its own cells back"


def test_pseudonyms_are_reversed_with_the_workspace_s_key_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNESMITH_HOME", raising=False)
    plant(tmp_path)
    code, _, shown = run(tmp_path, "{on_pii: pseudonymise, entities: {NAME: redact}}", capsys)
    assert code == 0, shown
    contacts = [
        contact
        for file in (tmp_path / ".tunesmith").rglob("train.parquet")
        for contact in pl.read_parquet(file)["contact"].drop_nulls()
        if contact
    ]
    assert contacts and all(one.startswith("EMAIL_") for one in contacts)
    assert set(api.reveal(contacts)) <= {person["email"] for person in PEOPLE}


def test_a_blocked_run_is_denied_before_anything_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNESMITH_HOME", raising=False)
    plant(tmp_path)
    code, _, shown = run(tmp_path, "block", capsys)
    assert code == 3
    assert "CREDIT_CARD in `text`: 20 rows" in shown and leaks(shown) == []
    assert not list((tmp_path / ".tunesmith").rglob("train.parquet"))
