"""The stage: every record read is kept, removed or in quarantine, given splits stay, equal inputs give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.core import digests
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.errors import DataError, StepError, TunesmithError
from tunesmith.data.prepare import Prepare, check_counts
from tunesmith.data.prepare_config import CleanConfig, PrepareConfig, Rule, SplitConfig

INTENTS = ("card", "loan", "refund")
LINEAGE = ["row_id", "source_id", "subject", "parents"]


class Context:
    """As much of a step's context as this stage uses."""

    def __init__(self, out: Path, seed: int = 0) -> None:
        self.out, self.seed, self.project, self.scratch = out, seed, "default", out
        self.seen: list[str] = []

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        assert done <= total
        self.seen.append(note)

    def check_cancelled(self) -> None:
        self.seen.append("asked")


def dataset(folder: Path, name: str, refused: int = 0, **columns: list[Any]) -> Artifact:
    """A dataset as `ingest` leaves it, in two shards."""
    path = folder / name
    path.mkdir(parents=True)
    size = len(next(iter(columns.values())))
    subject = columns.pop("subject", [None] * size)
    frame = pl.DataFrame(
        {
            "row_id": [f"{name}-{i}" for i in range(size)],
            "source_id": [name] * size,
            "subject": pl.Series(subject, dtype=pl.String),
            "parents": pl.Series([[]] * size, dtype=pl.List(pl.String)),
            **columns,
        }
    )
    for i, part in enumerate((frame[: size // 2], frame[size // 2 :])):
        part.write_parquet(path / f"part-{i:05}.parquet")
    schema = {"position": pl.Int64, "reason": pl.String, "record": pl.String}
    bad = [{"position": i + 1, "reason": "too many fields", "record": "a,b,c"} for i in range(refused)]
    pl.DataFrame(bad, schema=schema).write_parquet(path / "refused.parquet")
    shards = ["part-00000.parquet", "part-00001.parquet"]
    types = {column: str(dtype) for column, dtype in frame.schema.items()}
    (path / "manifest.json").write_text(json.dumps({"columns": types, "shards": shards, "rows": size}))
    facts = {"source": name, "rows_read": size + refused, "rows": size, "refused": {"too many fields": refused}}
    return Artifact("dataset", name, path, facts, MadeBy("key", "ingest", 0))


def prepare(
    out: Path, sources: Mapping[str, Artifact], seed: int = 0, **config: Any
) -> tuple[dict[str, Any], dict[str, Any], dict[str, pl.DataFrame]]:
    made = Prepare(PrepareConfig(**{"task": "classify", **config})).run(sources, Context(out, seed))  # type: ignore[arg-type]
    tables = {file.stem: pl.read_parquet(file) for file in (out / "splits").glob("*.parquet")}
    assert json.loads((out / "quality" / "quality.json").read_text("utf-8")) == made["quality"]
    assert_accounted(made["splits"], tables)
    return made["splits"], made["quality"], tables


def assert_accounted(facts: dict[str, Any], tables: Mapping[str, pl.DataFrame]) -> None:
    """Facts agree with the files, and every record is in one of them exactly once."""
    kept = pl.concat(tables[name].select("row_id", "source_id") for name in ("train", "validation", "test"))
    counts = {"kept": kept, "removed": tables["removed"], "quarantined": tables["quarantine"]}
    for source, rows in {None: facts["rows"], **facts["by_source"]}.items():
        assert rows["read"] == rows["kept"] + rows["removed"] + rows["quarantined"]
        for fate, frame in counts.items():
            own = frame if source is None else frame.filter(pl.col("source_id") == source)
            assert rows[fate] == own.height
    assert sum(facts["removed"].values()) == facts["rows"]["removed"]
    assert sum(facts["quarantined"].values()) == facts["rows"]["quarantined"]
    ids = pl.concat(frame["row_id"].drop_nulls() for frame in counts.values())
    assert ids.n_unique() == len(ids)
    train, proving = set(tables["train"]["text"]), set(tables["validation"]["text"]) | set(tables["test"]["text"])
    assert not {text.lower() for text in train} & {text.lower() for text in proving}


def messages(num: int, start: int = 0) -> dict[str, list[Any]]:
    """So many different short messages, their intents in turn."""
    numbers = range(start, start + num)
    return {
        "text": [f"question {i} about {INTENTS[i % 3]}" for i in numbers],
        "label": [INTENTS[i % 3] for i in numbers],
    }


def test_rows_are_split_and_shown(tmp_path: Path) -> None:
    source = dataset(tmp_path, "crm", refused=2, **messages(90), segment=["gold"] * 80 + [None] * 10)
    facts, quality, tables = prepare(tmp_path / "out", {"crm": source})
    assert facts["rows"] == {"read": 92, "kept": 90, "removed": 0, "quarantined": 2}
    assert facts["splits"] == {"train": 63, "validation": 9, "test": 18}
    assert facts["quarantined"] == {"too many fields": 2}
    assert facts["labels"] == ["card", "loan", "refund"]
    assert facts["label_counts"]["test"] == {"card": 6, "loan": 6, "refund": 6}
    assert facts["split_by"] == "validation 10 % and test 20 % drawn with seed 0; shares of `label` kept"
    assert tables["train"].columns == [*LINEAGE, "text", "label", "segment"]
    assert tables["quarantine"].row(0, named=True) == {
        "source_id": "crm", "position": 1, "row_id": None, "record": "a,b,c", "reason": "too many fields",
    }  # fmt: skip
    assert quality["completeness"]["segment"] == {"missing": 10, "share": 10 / 90}
    assert quality["notes"] == ["11 % of the rows have no `segment`"]
    assert quality["uniqueness"] == {"exact_duplicates": 0, "near_duplicates": 0, "across_splits": 0}


def test_sources_are_joined_by_column_name(tmp_path: Path) -> None:
    one = dataset(tmp_path, "one", **messages(30), age=[1] * 30)
    two = dataset(tmp_path, "two", **messages(30, 30), segment=["x"] * 30, age=["2"] * 30)
    facts, _, tables = prepare(tmp_path / "out", {"one": one, "two": two})
    assert "source `one` has no column `segment`" in facts["notes"]
    assert "`age` differs in type (Int64 in `one`, String in `two`): compared as text" in facts["notes"]
    assert set(tables["train"]["age"]) == {"1", "2"}
    assert facts["by_source"]["two"] == {"read": 30, "kept": 30, "removed": 0, "quarantined": 0}


def test_dirt_is_repaired_removed_or_quarantined_with_its_reason(tmp_path: Path) -> None:
    rows = messages(60)
    rows["text"] += ["  Question 0   about card ", "question 1 about loan", "cafÃ© opening", "", None, "no label", "ab"]
    rows["label"] += ["card", "refund", "card", "card", "card", " ", "card"]
    facts, quality, tables = prepare(
        tmp_path / "out", {"s": dataset(tmp_path, "s", **rows)}, rules=[Rule(column="text", min_chars=3, name="long")]
    )
    assert facts["removed"] == {"exact duplicate": 1}
    assert facts["quarantined"] == {
        "text is missing": 2, "label is missing": 1, "rule long: `text` needs at least 3 characters": 1,
        "same text, different labels": 2,
    }  # fmt: skip
    assert facts["repaired"] == {"unicode": 1, "whitespace": 2}
    gone = tables["removed"].row(0, named=True)
    assert (gone["row_id"], gone["because_of"], gone["reason"]) == ("s-60", "s-0", "exact duplicate")
    clash = tables["quarantine"].filter(pl.col("row_id").is_in(["s-1", "s-61"]))
    assert clash["reason"].to_list() == ["same text, different labels: loan, refund"] * 2
    assert quality["uniqueness"]["exact_duplicates"] == 1
    assert quality["validity"] == [{"rule": "long: `text` needs at least 3 characters", "checked": 64, "broken": 1}]


def test_a_given_test_set_stays_and_train_gives_way(tmp_path: Path) -> None:
    gold = {"text": ["question 0 about card", "question 0 about card", "new"], "label": ["card", "loan", "unseen"]}
    given = {"crm": dataset(tmp_path, "crm", **messages(60)), "gold": dataset(tmp_path, "gold", **gold)}
    facts, quality, tables = prepare(tmp_path / "out", given, given={"gold": "test"})
    assert tables["test"]["row_id"].to_list() == ["gold-0", "gold-1", "gold-2"]
    assert facts["removed"] == {"same text as a test row": 1}
    assert facts["splits"] == {"train": 53, "validation": 6, "test": 3}
    assert facts["labels"] == ["card", "loan", "refund"]
    assert "label seen once: `unseen`" in facts["notes"]
    assert "test has labels that train has not, counted as errors: `unseen` (1 row)" in facts["notes"]
    assert any(note.startswith("1 row of given proving splits repeats another row") for note in facts["notes"])
    assert quality["uniqueness"]["exact_duplicates"] == 2
    assert facts["split_by"] == "test as given; validation 10 % drawn with seed 0; shares of `label` kept"


def test_a_split_column_is_followed(tmp_path: Path) -> None:
    rows = messages(30)
    rows["split"] = ["train"] * 20 + ["dev"] * 5 + ["test"] * 5
    facts, _, tables = prepare(tmp_path / "out", {"s": dataset(tmp_path, "s", **rows)})
    assert facts["splits"] == {"train": 20, "validation": 5, "test": 5}
    assert facts["split_by"] == "train, validation, test as given"
    assert tables["test"]["row_id"].to_list() == [f"s-{i}" for i in range(25, 30)]


def test_groups_stay_together_and_leave_train_when_they_are_in_the_given_test(tmp_path: Path) -> None:
    crm = dataset(tmp_path, "crm", **messages(120), subject=[f"c{i // 6}" for i in range(120)])
    gold = dataset(tmp_path, "gold", **messages(3, 500), subject=["c0"] * 3)
    config = {"split": SplitConfig(group_by="subject"), "given": {"gold": "test"}}
    facts, _, tables = prepare(tmp_path / "out", {"crm": crm, "gold": gold}, **config)
    assert facts["removed"] == {"same `subject` as a test row": 6}
    assert not set(tables["train"]["subject"]) & set(tables["validation"]["subject"])
    assert facts["splits"]["test"] == 3
    with pytest.raises(DataError, match="cannot be grouped by `nobody`"):
        prepare(tmp_path / "other", {"crm": crm}, split=SplitConfig(group_by="nobody"))


def test_kept_duplicates_do_not_leak(tmp_path: Path) -> None:
    rows = {name: values * 3 for name, values in messages(30).items()}
    clean = CleanConfig(exact_duplicates=False, near_duplicates=None)
    facts, _, tables = prepare(tmp_path / "out", {"s": dataset(tmp_path, "s", **rows)}, clean=clean)
    assert set(facts["removed"]) == {"same text as a test row", "same text as a validation row"}
    assert tables["train"]["text"].n_unique() < tables["train"].height


def test_near_duplicates_that_are_kept_are_counted_across_splits(tmp_path: Path) -> None:
    words = "the quick brown fox jumps over a lazy dog and runs away from every hunter in these dark old woods"
    rows = messages(60)
    rows["text"] += [words, f"{words} {'!' * 3}", f"{words} ?", "another question"]
    rows["label"] += ["card"] * 4
    rows["split"] = [None] * 60 + ["test", "train", "validation", "validation"]
    source = dataset(tmp_path, "s", **rows)
    clean = CleanConfig(near_duplicates=None)
    facts, quality, _ = prepare(tmp_path / "a", {"s": source}, clean=clean, contamination=None)
    assert facts["rows"]["removed"] == 0
    assert quality["uniqueness"]["across_splits"] == 2
    facts, quality, _ = prepare(tmp_path / "b", {"s": source})
    assert facts["removed"] == {"nearly the same text as a test row": 2}
    assert quality["uniqueness"] == {"exact_duplicates": 0, "near_duplicates": 2, "across_splits": 0}


def test_numbers_are_targets(tmp_path: Path) -> None:
    rows = {"text": [f"text number {i}" for i in range(40)], "label": [str(i / 4) for i in range(36)] + ["1e0", " 2 "]}
    rows["label"] += ["three", "inf"]
    facts, quality, tables = prepare(tmp_path / "out", {"s": dataset(tmp_path, "s", **rows)}, task="regress")
    assert facts["quarantined"] == {"label is not a number": 2}
    assert "label is not a number: three" in tables["quarantine"]["reason"].to_list()
    assert (facts["labels"], facts["label_counts"]) == ([], {})
    labels = tables["train"]["label"]
    assert labels.dtype == pl.Float64
    assert facts["target"] == pytest.approx(
        {"mean": labels.mean(), "std": labels.std(ddof=0), "min": labels.min(), "max": labels.max()}
    )
    assert quality["balance"]["counts"] == {}


def test_equal_inputs_and_seed_give_equal_bytes(tmp_path: Path) -> None:
    source = dataset(tmp_path, "s", **messages(50))
    prepare(tmp_path / "a", {"s": source}, seed=3)
    prepare(tmp_path / "b", {"s": source}, seed=3)
    prepare(tmp_path / "c", {"s": source}, seed=4)
    one, two, three = (digests.of_folder(tmp_path / name) for name in "abc")
    assert one == two
    assert one["splits/test.parquet"] != three["splits/test.parquet"]


@pytest.mark.parametrize(
    ("rows", "config", "words"),
    [
        ({"text": ["a", "b"] * 20, "label": ["x"] * 40}, {}, "too few to draw"),
        ({"text": [str(i) for i in range(40)], "label": ["x"] * 40}, {}, "only one label"),
        ({"text": [""] * 4, "label": ["x"] * 4}, {}, "no row is left of 4 read[\\s\\S]*text is missing: 4"),
        ({"text": ["a", "b"], "label": ["x", "y"]}, {}, "too few to draw"),
        ({"text": ["a"] * 9, "body": ["x"] * 9}, {}, "no source has a column for `label`"),
        ({"text": [str(i) for i in range(9)], "label": ["1"] * 9}, {"task": "regress"}, "only one target"),
        ({"text": [str(i) for i in range(9)], "label": list("abcdefghi")}, {}, "no row is left for (test|validation)"),
        ({"text": ["a", "a"], "label": ["x", "y"]}, {}, "no row is left[\\s\\S]*different labels: 2"),
        (messages(9), {"split": SplitConfig(stratify_by="tier")}, "`stratify_by` names the column `tier`"),
        ({**messages(9), "split": ["fold"] * 9}, {}, "names no split"),
    ],
)
def test_data_that_cannot_be_used_is_refused_with_the_way_out(
    tmp_path: Path, rows: dict[str, list[Any]], config: dict[str, Any], words: str
) -> None:
    with pytest.raises(TunesmithError, match=words) as caught:
        prepare(tmp_path / "out", {"s": dataset(tmp_path, "s", **rows)}, **config)
    assert caught.value.next or caught.value.allowed


def test_a_dataset_that_lost_rows_is_not_believed(tmp_path: Path) -> None:
    source = dataset(tmp_path, "s", **messages(10))
    (source.path / "part-00001.parquet").unlink()
    (source.path / "manifest.json").write_text(
        json.dumps({"columns": {}, "shards": ["part-00000.parquet"], "rows": 10}), "utf-8"
    )
    with pytest.raises(StepError, match="does not hold what its facts say"):
        prepare(tmp_path / "out", {"s": source})


def test_lost_rows_are_an_error_not_a_number() -> None:
    check_counts({"s": {"read": 3, "kept": 1, "removed": 1, "quarantined": 1}})
    with pytest.raises(StepError, match="lost or counted twice"):
        check_counts({"s": {"read": 4, "kept": 1, "removed": 1, "quarantined": 1}})


TEXTS = st.one_of(
    st.none(),
    st.sampled_from(["Hi", "hi ", "h\u00a0i", "", " ", "cafÃ©", "café", "&amp;", "a\x00b", "N/A", "word " * 12]),
    st.text(max_size=12),
    st.lists(st.sampled_from(["one", "two", "three", "four", "five"]), max_size=12).map(" ".join),
)
ROWS = st.lists(
    st.tuples(
        TEXTS,
        st.sampled_from(["a", "b", "A", " b", "1", "2.5", "", None]),
        st.sampled_from([None, None, "train", "dev", "test"]),
        st.sampled_from([None, "p", "q", "r", "s", "t"]),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=ROWS,
    second=ROWS,
    refused=st.integers(0, 3),
    task=st.sampled_from(["classify", "regress"]),
    exact=st.booleans(),
    near=st.sampled_from([None, 0.6, 0.9]),
    group=st.sampled_from([None, "subject"]),
    given_test=st.booleans(),
)
def test_no_row_is_ever_lost(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[Any],
    second: list[Any],
    refused: int,
    task: str,
    exact: bool,
    near: float | None,
    group: str | None,
    given_test: bool,
) -> None:
    folder = tmp_path_factory.mktemp("dirty")
    base = messages(12)
    if task == "regress":
        base["label"] = [str(i) for i in range(12)]
    start = [(*row, None, f"g{i}") for i, row in enumerate(zip(base["text"], base["label"], strict=True))]
    sources: dict[str, Artifact] = {}
    for name, rows in (("one", start + first), ("two", second)):
        columns = dict(zip(("text", "label", "split", "subject"), zip(*rows, strict=True), strict=False))
        lists = {column: list(columns.get(column, [])) for column in ("text", "label", "split", "subject")}
        sources[name] = dataset(folder, name, refused=refused, **lists)
    config: dict[str, Any] = {
        "task": task,
        "clean": CleanConfig(exact_duplicates=exact, near_duplicates=near),
        "rules": [Rule(column="text", max_chars=50), Rule(column="label", unique=task == "regress", max_chars=9)],
        "split": SplitConfig(group_by=group),
        "given": {"two": "test"} if given_test else {},
    }
    try:
        facts, _, tables = prepare(folder / "out", sources, **config)
    except DataError as error:
        # Refusing is allowed where a split cannot be filled; losing rows (StepError) never is.
        assert error.next
        return
    assert facts["rows"]["read"] == 12 + len(first) + len(second) + 2 * refused
    if group:
        splits = [set(tables[name][group].drop_nulls()) for name in ("train", "validation", "test")]
        assert not (splits[0] & splits[1] or splits[0] & splits[2] or splits[1] & splits[2])
