"""A source's rows scanned, redacted or pseudonymised: what changes, what stays, what is said, and what never is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.unit.data.context import FakeContext

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError, Denied, Interrupted, ModelError, RecipeError, StoreError
from tunesmith.core.source import Batch, Refused
from tunesmith.data import dataset
from tunesmith.governance.privacy import pseudonyms
from tunesmith.governance.privacy.config import PrivacyConfig, PrivacyStageConfig
from tunesmith.governance.privacy.stage import PiiScan, Privacy
from tunesmith.governance.privacy.treat import Treatment, treatment_of

SECRETS = ("ada@byron.org", "4111 1111 1111 1111", "+49 30 901820", "Ada Byron")
TEXTS = [
    "my name is Ada Byron, write to ada@byron.org",
    "nothing to see",
    "card 4111 1111 1111 1111, again 4111 1111 1111 1111, or +49 30 901820",
    None,
    "write to ADA@byron.org",
]


def source(folder: Path, **columns: list[Any]) -> tuple[FakeContext, Artifact]:
    """A dataset as `ingest` leaves it, and the context of the next step."""
    cells = {"text": TEXTS} | columns
    rows = len(cells["text"])
    lineage: dict[str, list[Any]] = {
        "row_id": [f"id{row}" for row in range(rows)],
        "source_id": ["crm"] * rows,
        "subject": [None] * rows,
        "parents": [[]] * rows,
    }
    refused = (Refused("too many fields", "x;ada@byron.org;y", 7),)
    manifest = dataset.write_dataset(folder / "ingest", [Batch(lineage | cells, refused)])
    facts = {"source": "crm", "rows": manifest.rows, "rows_read": rows + 1}
    context = FakeContext(folder)
    return context, context.artifact("dataset", "dataset", facts).__class__(
        "dataset", "digest", folder / "ingest", facts, context.artifact("dataset", "dataset", facts).made_by
    )


def config(privacy: dict[str, Any], **more: Any) -> PrivacyStageConfig:
    return PrivacyStageConfig(source="crm", privacy=PrivacyConfig.model_validate(privacy), **more)


def rows_of(folder: Path) -> pl.DataFrame:
    manifest = json.loads((folder / "manifest.json").read_text())
    return pl.concat([pl.read_parquet(folder / shard) for shard in manifest["shards"]])


def test_redacting_changes_the_values_and_nothing_else(tmp_path: Path) -> None:
    context, given = source(tmp_path, label=["ada@byron.org", "b", "a", "b", "a"], tier=["gold", None, "x", "y", "z"])
    facts = Privacy(config({"on_pii": "redact"})).run({"dataset": given}, context)
    before, after = rows_of(given.path), rows_of(context.out / "dataset")
    assert after["text"].to_list() == [
        "my name is [NAME], write to [EMAIL]",
        "nothing to see",
        "card [CREDIT_CARD], again [CREDIT_CARD], or [PHONE]",
        None,
        "write to [EMAIL]",
    ]
    assert after["row_id"].to_list() == before["row_id"].to_list()
    assert after["parents"].to_list() == [["id0"], [], ["id2"], [], ["id4"]]
    assert_frame_equal(after.drop("text", "parents"), before.drop("text", "parents"))
    refused = pl.read_parquet(context.out / "dataset" / "refused.parquet")
    assert refused.rows() == [(7, "too many fields", "x;[EMAIL];y")]
    assert facts["dataset"]["rows_read"] == 6 and facts["dataset"]["privacy"]["on_pii"] == "redact"
    found = facts["findings"]
    assert (found["rows"], found["rows_found"], found["rows_touched"], found["values"]) == (5, 4, 4, 7)
    assert found["columns"] == ["text", "tier"]
    assert {(one["column"], one["entity"], one["values"], one["rows"]) for one in found["found"]} == {
        ("text", "EMAIL", 2, 2),
        ("text", "CREDIT_CARD", 2, 1),
        ("text", "NAME", 1, 1),
        ("text", "PHONE", 1, 1),
        ("refused records", "EMAIL", 1, 1),
    }


def test_findings_say_where_and_never_what(tmp_path: Path) -> None:
    context, given = source(tmp_path)
    facts = PiiScan(config({})).run({"dataset": given}, context)
    lines = pl.read_parquet(context.out / "findings" / "findings.parquet")
    assert lines.height == facts["findings"]["values"] == 7
    assert lines.filter(pl.col("entity") == "NAME").row(0) == ("id0", None, "text", "NAME", 11, 20, 0.85, "allow")
    assert not (context.out / "dataset").exists(), "what is only looked at is not written again"
    written = b"".join(file.read_bytes() for file in context.out.rglob("*") if file.is_file())
    said = json.dumps(facts) + repr(context.told) + repr(context.warnings)
    for secret in SECRETS:
        assert secret.encode() not in written and secret not in said
    assert json.loads((context.out / "findings" / "findings.json").read_text()) == facts["findings"]


def test_blocking_names_counts_and_rows_but_no_value(tmp_path: Path) -> None:
    context, given = source(tmp_path)
    blocked = config({"on_pii": "allow", "entities": {"EMAIL": "block"}})
    with pytest.raises(Denied) as caught:
        PiiScan(blocked).run({"dataset": given}, context)
    words = str(caught.value)
    assert caught.value.exit_code == 3
    assert "EMAIL in `text`: 2 rows" in words and "id0, id4, record 7" in words
    assert not any(secret.lower() in words.lower() for secret in SECRETS)
    clean = config({"on_pii": "redact", "entities": {"IBAN": "block"}})
    assert Privacy(clean).run({"dataset": given}, context)["findings"]["rows_touched"] == 4


def test_pseudonyms_are_one_for_one_value_and_lead_back_only_with_the_key(tmp_path: Path) -> None:
    context, given = source(tmp_path, phone=["030 901820", None, "+49 30 901820", None, None])
    Privacy(config({"on_pii": "pseudonymise"})).run({"dataset": given}, context)
    after = rows_of(context.out / "dataset")
    first, last = after["text"][0], after["text"][4]
    token = last.split()[-1]
    assert token.startswith("EMAIL_") and first.endswith(token), "case does not make another person"
    assert after["phone"][0].startswith("PHONE_") and after["phone"][2] in after["text"][2]
    folder = context.out / "findings"
    for file in folder.rglob("*"):
        assert not any(secret.encode() in file.read_bytes() for secret in SECRETS if file.is_file())
    back = pseudonyms.reveal([first, after["text"][2], "EMAIL_aaaaaaaaaaaa"], [folder], context.key)
    assert back == [TEXTS[0], TEXTS[2], "EMAIL_aaaaaaaaaaaa"]
    with pytest.raises(StoreError, match="sealed with another key"):
        pseudonyms.reveal([first], [folder], b"x" * 32)
    sealed = pseudonyms.Pseudonyms(context.key).seal(token, "ada@byron.org")
    with pytest.raises(StoreError, match="cannot be led back"):
        pseudonyms.Pseudonyms(context.key).open("EMAIL_aaaaaaaaaaaa", sealed)


def test_another_project_gives_other_tokens(tmp_path: Path) -> None:
    one, other = (pseudonyms.Pseudonyms(key).token("EMAIL", "ada@byron.org") for key in (b"a" * 32, b"b" * 32))
    assert one != other and len(one) == len("EMAIL_") + pseudonyms.TOKEN_CHARS


def test_texts_that_are_answered_are_treated_as_the_rows_were(tmp_path: Path) -> None:
    context, given = source(tmp_path)
    privacy = {"on_pii": "redact", "entities": {"EMAIL": "pseudonymise", "PHONE": "allow"}}
    facts = Privacy(config(privacy)).run({"dataset": given}, context)
    applied = json.loads(json.dumps(facts["dataset"]["privacy"]))
    treatment = treatment_of(applied, context.key)
    assert treatment is not None
    texts = [text for text in TEXTS if text]
    assert treatment.texts(texts) == [text for text in rows_of(context.out / "dataset")["text"] if text]
    assert treatment_of(None, None) is None
    with pytest.raises(ModelError, match="made with the key"):
        treatment_of(applied, None)


def test_treating_twice_changes_nothing_more() -> None:
    for action in ("redact", "pseudonymise"):
        treatment = Treatment(PrivacyConfig(on_pii=action), b"k" * 32)  # type: ignore[arg-type]
        once = treatment.texts([text for text in TEXTS if text])
        assert treatment.texts(once) == once


def test_redacting_what_rows_are_grouped_by_is_refused(tmp_path: Path) -> None:
    context, given = source(tmp_path, customer=["ada@byron.org", "b@byron.org", "c@byron.org", None, None])
    with pytest.raises(DataError, match="told apart by `customer`"):
        Privacy(config({"on_pii": "redact"}, grouped_by=("customer",))).run({"dataset": given}, context)
    Privacy(config({"on_pii": "pseudonymise"}, grouped_by=("customer",))).run({"dataset": given}, context)
    assert rows_of(context.out / "dataset")["customer"].n_unique() == 4


def test_only_the_columns_asked_for_are_looked_into(tmp_path: Path) -> None:
    context, given = source(tmp_path, note=["bob@byron.org"] * 5)
    facts = Privacy(config({"on_pii": "redact", "columns": ["note"]})).run({"dataset": given}, context)
    after = rows_of(context.out / "dataset")
    assert after["note"].to_list() == ["[EMAIL]"] * 5 and after["text"].to_list() == TEXTS
    assert facts["findings"]["columns"] == ["note"]
    with pytest.raises(RecipeError, match="does not have"):
        PiiScan(config({"columns": ["nota"]})).run({"dataset": given}, context)


def test_a_column_s_name_says_what_its_values_are(tmp_path: Path) -> None:
    context, given = source(
        tmp_path, customer_name=["Ada Byron", "ada byron", None, "Bo Li", ""], dob=["1984-03-03"] * 5
    )
    Privacy(config({"on_pii": "redact"})).run({"dataset": given}, context)
    after = rows_of(context.out / "dataset")
    assert after["customer_name"].to_list() == ["[NAME]", "[NAME]", None, "[NAME]", ""]
    assert after["dob"].to_list() == ["[DATE_OF_BIRTH]"] * 5


def test_rows_without_personal_data_stay_as_they_are_under_a_digest_of_their_own(tmp_path: Path) -> None:
    context, given = source(tmp_path, text=["nothing", "to", "see", "here", "now"])
    Privacy(config({"on_pii": "redact"})).run({"dataset": given}, context)
    assert_frame_equal(rows_of(context.out / "dataset"), rows_of(given.path))
    assert "privacy" in json.loads((context.out / "dataset" / "manifest.json").read_text())


def test_equal_rows_give_equal_bytes_in_slices_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for name, size in (("one", 50_000), ("two", 50_000), ("three", 2)):
        monkeypatch.setattr("tunesmith.governance.privacy.stage.SLICE_ROWS", size)
        context, given = source(tmp_path / name)
        facts = Privacy(config({"on_pii": "pseudonymise"})).run({"dataset": given}, context)
        files = {file.name: file.read_bytes() for file in sorted(context.out.rglob("*")) if file.is_file()}
        made.append((facts, files, rows_of(context.out / "dataset")))
    assert made[0][:2] == made[1][:2]
    assert made[0][0] == made[2][0]
    assert_frame_equal(made[0][2], made[2][2])


def test_an_interrupted_scan_stops(tmp_path: Path) -> None:
    context, given = source(tmp_path)
    context.cancel = Interrupted("stop")
    with pytest.raises(Interrupted):
        PiiScan(config({})).run({"dataset": given}, context)


@pytest.mark.parametrize(
    ("privacy", "words"),
    [
        ({"entities": {"EMIAL": "redact"}}, "did you mean `EMAIL`?"),
        ({"patterns": {"ORDER": "(?=x)"}}, "not usable (RE2 syntax)"),
        ({"patterns": {"ORDER": "x*"}}, "matches nothing at all"),
        ({"patterns": {"EMAIL": "x"}}, "a kind of its own already"),
        ({"patterns": {"order id": "x"}}, "no name for a pattern"),
        ({"countries": ["XX"]}, "no identifiers are known of XX"),
        ({"regions": ["XX"]}, "no phone numbers are known of XX"),
        ({"columns": ["label"]}, "never changed"),
        ({"on_pii": "mask"}, "pseudonymise"),
        ({"min_score": 2}, "less than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused_with_cause(privacy: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        PrivacyConfig.model_validate(privacy)
    assert words in str(caught.value)
