"""New rows join a champion's: its rows keep their split, and every row that was read is counted once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.data.context import FakeContext
from tests.unit.data.test_prepare import dataset

from tunesmith.core import digests
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.errors import DataError
from tunesmith.data.extend import LEFT_OUT, REPEATS, Extend
from tunesmith.data.extend_config import ExtendConfig
from tunesmith.data.extend_join import WITHDRAWN
from tunesmith.data.prepare import Prepare
from tunesmith.data.prepare_config import PrepareConfig

SPLITS = ("train", "validation", "test")
WORDS = ("lost", "late", "wrong", "twice", "never", "soon", "blue", "paper")
THINGS = ("card", "loan", "refund", "transfer", "fee", "passcode", "app", "limit")


def texts(num: int, start: int = 0) -> list[str]:
    """Texts of which no two are nearly the same."""
    made = []
    for at in range(start, start + num):
        word, thing = WORDS[at % 8], THINGS[at // 8 % 8]
        made.append(f"{word} {thing} number {digests.of_value(at)[:12]} {thing}")
    return made


def rows(num: int, start: int = 0, **more: list[Any]) -> dict[str, list[Any]]:
    return {"text": texts(num, start), "label": [THINGS[at % 4] for at in range(start, start + num)], **more}


def prepared(folder: Path, sources: Mapping[str, dict[str, list[Any]]], **config: Any) -> Artifact:
    """The splits that the stage `prepare` makes of these sources."""
    datasets = {name: dataset(folder / "in", name, **columns) for name, columns in sources.items()}
    context = FakeContext(folder)
    facts = Prepare(PrepareConfig(**{"task": "classify", **config})).run(datasets, context)  # type: ignore[arg-type]
    return context.artifact("splits", "splits", facts["splits"])


def extended(
    folder: Path, before: Artifact, fresh: Artifact, said: Artifact | None = None, **config: Any
) -> tuple[dict[str, Any], dict[str, pl.DataFrame], FakeContext]:
    """The facts, every table, and the context; that they add up is checked always. ``said``: corrections."""
    context = FakeContext(folder)
    given = {"before": before, "splits": fresh} | ({} if said is None else {"corrections": said})
    made = Extend(ExtendConfig(**{"task": "classify", **config})).run(given, context)
    facts = made["splits"]
    tables = {file.stem: pl.read_parquet(file) for file in (context.out / "splits").glob("*.parquet")}
    add_up(facts, tables)
    return dict(facts), tables, context


def add_up(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> None:
    """Facts agree with the files, and every row is in one of them once."""
    fates = {
        "kept": [tables[name] for name in (*SPLITS, "outside") if name in tables],
        "removed": [tables["removed"]],
        "quarantined": [tables["quarantine"]],
    }
    for source, counts in {**facts["by_source"], None: facts["rows"]}.items():
        for fate, frames in fates.items():
            there = pl.concat([one["source_id"] for one in frames])
            assert counts[fate] == (there.len() if source is None else (there == source).sum()), (source, fate)
        assert counts["read"] == sum(counts[fate] for fate in fates)
    assert sum(facts["removed"].values()) == tables["removed"].height
    assert sum(facts["quarantined"].values()) == tables["quarantine"].height
    lost = sum(sum(one.values()) for one in facts["lost_by_source"].values())
    assert lost == tables["removed"].height + tables["quarantine"].height
    ids = pl.concat(one["row_id"] for one in (*fates["kept"], tables["removed"]))
    assert ids.is_unique().all()
    assert facts["splits"] == {name: tables[name].height for name in SPLITS}
    new = tables["new"]
    for name in SPLITS:
        assert set(new.filter(pl.col("split") == name)["row_id"]) <= set(tables[name]["row_id"])


def of(splits: Artifact) -> dict[str, str]:
    """The split of each text."""
    frames = {name: pl.read_parquet(splits.path / f"{name}.parquet") for name in SPLITS}
    return {text: name for name, frame in frames.items() for text in frame["text"]}


def test_old_rows_keep_their_split_and_new_ones_join_them(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"desk": rows(60)})
    later = {"text": texts(40, 100), "label": ["passcode"] * 20 + ["card"] * 20}
    fresh = prepared(tmp_path / "b", {"desk": rows(60), "added-1": later})
    facts, tables, _ = extended(tmp_path / "c", before, fresh)
    now = {text: name for name in SPLITS for text in tables[name]["text"]}
    was = of(before)
    assert {text: now[text] for text in was} == was
    assert of(fresh) != {**of(fresh), **was}  # prepare drew them anew, so it is the stage that kept them
    told = facts["extended"]
    assert sum(told["old"].values()) == 60 and sum(told["new"].values()) == 40 == tables["new"].height
    assert told["known"] == 60 and told["withdrawn"] == 0 and told["near"] == 0 and told["relabelled"] == 0
    assert told["new_labels"] == ["passcode"] and told["gone_labels"] == []
    assert facts["labels"] == ["card", "loan", "passcode", "refund", "transfer"]
    assert facts["label_counts"]["train"]["passcode"] == (tables["train"]["label"] == "passcode").sum()
    assert facts["rows"] == {"read": 100, "kept": 100, "removed": 0, "quarantined": 0}


def test_it_is_deterministic(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        before = prepared(tmp_path / name / "a", {"desk": rows(30)})
        fresh = prepared(tmp_path / name / "b", {"desk": rows(30), "more": rows(9, 200)})
        extended(tmp_path / name / "c", before, fresh)
        files = sorted((tmp_path / name / "c" / "out" / "splits").iterdir())
        made.append({file.name: digests.of_file(file) for file in files})
    assert made[0] == made[1] and "new.parquet" in made[0]


def test_a_row_that_repeats_an_old_text_is_known_and_counted(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"desk": rows(40), "gone": rows(8, 50)})
    # The source `gone` is not read any more; another repeats its texts, in capitals, two of them under another label.
    again = {"text": [text.upper() for text in texts(8, 50)], "label": ["fee", "fee", *rows(6, 52)["label"]]}
    fresh = prepared(tmp_path / "b", {"desk": rows(40), "more": again, "news": rows(4, 90)})
    facts, tables, context = extended(tmp_path / "c", before, fresh)
    assert facts["extended"]["known"] == 48 and facts["extended"]["relabelled"] == 2
    assert facts["removed"] == {REPEATS: 8}
    assert facts["by_source"]["more"] == {"read": 8, "kept": 0, "removed": 8, "quarantined": 0}
    assert facts["by_source"]["gone"] == {"read": 8, "kept": 8, "removed": 0, "quarantined": 0}
    assert facts["extended"]["held"] == {"gone": 8}
    kept = pl.concat(tables[name] for name in SPLITS)
    because = tables["removed"].join(kept, left_on="because_of", right_on="row_id", how="inner")
    assert because.height == 8 and because["text_right"].str.to_uppercase().to_list() == because["text"].to_list()
    assert context.warnings == ["2 rows have another label now than the champion learned: they keep the one it learned"]


def test_what_prepare_would_take_out_today_stays_and_is_counted_once(tmp_path: Path) -> None:
    """An added test row repeats an old training row: `prepare` removes the old one, the champion's splits keep it."""
    before = prepared(tmp_path / "a", {"desk": rows(40)})
    (trained, *_) = [text for text, split in of(before).items() if split == "train"]
    proof = {"text": [trained, *texts(5, 300)], "label": ["card"] * 6}
    fresh = prepared(tmp_path / "b", {"desk": rows(40), "proof": proof}, given={"proof": "test"})
    assert fresh.facts["removed"] == {"same text as a test row": 1}
    facts, tables, _ = extended(tmp_path / "c", before, fresh)
    assert trained in tables["train"]["text"].to_list()
    assert facts["removed"] == {REPEATS: 1} and facts["rows"]["read"] == 46
    assert facts["by_source"]["desk"] == {"read": 40, "kept": 40, "removed": 0, "quarantined": 0}


def test_a_row_nearly_the_same_as_one_of_another_split_is_left_out(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"gone": rows(40)})
    proving = [text for text, split in of(before).items() if split == "test"]
    near = {"text": [f"{text}!" for text in proving] + texts(30, 400), "label": ["card", "fee"] * 99}
    near["label"] = near["label"][: len(near["text"])]
    fresh = prepared(tmp_path / "b", {"more": near})
    trained = {text.rstrip("!") for text, split in of(fresh).items() if split != "test"} & set(proving)
    assert trained
    facts, tables, _ = extended(tmp_path / "c", before, fresh)
    assert facts["removed"] == {"nearly the same text as a test row of the champion": len(trained)}
    assert facts["extended"]["near"] == len(trained)
    assert {text.rstrip("!") for text in tables["removed"]["text"]} == trained
    facts, _, _ = extended(tmp_path / "d", before, fresh, near=None)
    assert facts["extended"]["near"] == 0 and facts["removed"] == {}


def test_rows_of_withdrawn_sources_leave_and_their_labels_with_them(tmp_path: Path) -> None:
    only = {"text": texts(10, 60), "label": ["limit"] * 10}
    before = prepared(tmp_path / "a", {"desk": rows(40), "old": only})
    fresh = prepared(tmp_path / "b", {"desk": rows(40)})
    facts, tables, _ = extended(tmp_path / "c", before, fresh, without=["old"])
    assert facts["extended"]["withdrawn"] == 10 and facts["extended"]["gone_labels"] == ["limit"]
    assert facts["removed"] == {WITHDRAWN: 10} and "limit" not in facts["labels"]
    assert facts["by_source"]["old"] == {"read": 10, "kept": 0, "removed": 10, "quarantined": 0}
    assert not set(texts(10, 60)) & {text for name in SPLITS for text in tables[name]["text"]}
    # Once it is permitted again, its rows come back as new ones.
    again = Artifact("splits", "d", tmp_path / "c" / "out" / "splits", facts, MadeBy("k", "extend", 0))
    fresh = prepared(tmp_path / "e", {"desk": rows(40), "old": only})
    facts, _, _ = extended(tmp_path / "f", again, fresh)
    assert sum(facts["extended"]["new"].values()) == 10 and facts["extended"]["new_labels"] == ["limit"]


def test_nothing_new_is_refused_unless_it_is_asked_for(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"desk": rows(40)})
    fresh = prepared(tmp_path / "b", {"desk": rows(40)}, split={"test": 0.4})
    with pytest.raises(DataError, match="no row is new") as caught:
        extended(tmp_path / "c", before, fresh)
    assert caught.value.seen == "40 rows read, 40 of the champion" and "--add" in str(caught.value.next)
    facts, tables, _ = extended(tmp_path / "d", before, fresh, needs_new=False)
    assert {text: name for name in SPLITS for text in tables[name]["text"]} == of(before)
    assert facts["extended"]["known"] == 40 and tables["new"].height == 0


def test_a_split_that_stands_empty_is_refused(tmp_path: Path) -> None:
    given = {"held": "test"}
    before = prepared(tmp_path / "a", {"desk": rows(40), "held": rows(10, 80)}, given=given)
    fresh = prepared(tmp_path / "b", {"desk": rows(40), "proof": rows(5, 200)}, given={"proof": "validation"})
    leaves = pl.read_parquet(before.path / "train.parquet").with_columns(source_id=pl.lit("late"))
    leaves.write_parquet(before.path / "train.parquet")
    for file in ("train", "test"):
        pl.read_parquet(fresh.path / f"{file}.parquet").clear().write_parquet(fresh.path / f"{file}.parquet")
    context = FakeContext(tmp_path / "c")
    stage = Extend(ExtendConfig(task="classify", without=("late",)))
    with pytest.raises(DataError, match="a split is empty"):
        stage.run({"before": before, "splits": fresh}, context)


def test_what_the_champions_run_left_out_stays_out(tmp_path: Path) -> None:
    """Suspects that were removed after `prepare` are read again, and are no news."""
    before = prepared(tmp_path / "a", {"desk": rows(40)})
    train = pl.read_parquet(before.path / "train.parquet")
    gone = train.head(3)
    train.tail(-3).write_parquet(before.path / "train.parquet")
    removed = pl.read_parquet(before.path / "removed.parquet")
    why, none = pl.lit("its label is likely wrong: `a` …").alias("reason"), pl.lit(None, pl.String).alias("because_of")
    taken = gone.select(*removed.columns[:4], "text", "label", why, none)
    pl.concat([removed, taken.cast(dict(removed.schema))]).write_parquet(before.path / "removed.parquet")  # type: ignore[arg-type]
    fresh = prepared(tmp_path / "b", {"desk": rows(40), "more": rows(7, 100)})
    facts, tables, _ = extended(tmp_path / "c", before, fresh)
    assert facts["removed"] == {LEFT_OUT: 3} and sum(facts["extended"]["new"].values()) == 7
    assert set(tables["removed"]["row_id"]) == set(gone["row_id"])


def test_a_person_stays_in_one_split(tmp_path: Path) -> None:
    people = [f"{at % 10:032x}" for at in range(60)]
    by = {"split": {"group_by": "subject"}}
    before = prepared(tmp_path / "a", {"desk": rows(60, subject=people)}, **by)
    # The source is gone; the same ten people and five more write again.
    again = [f"{at % 15:032x}" for at in range(60)]
    fresh = prepared(tmp_path / "b", {"more": rows(60, 500, subject=again)}, **by)
    facts, tables, _ = extended(tmp_path / "c", before, fresh, group_by="subject")
    seen = pl.concat(tables[name].select("subject", split=pl.lit(name)) for name in SPLITS)
    assert seen.group_by("subject").agg(pl.col("split").n_unique())["split"].max() == 1
    assert facts["extended"]["moved_by_group"] > 0 and seen["subject"].n_unique() == 15
    was = pl.concat(pl.read_parquet(before.path / f"{n}.parquet").select("subject", split=pl.lit(n)) for n in SPLITS)
    assert seen.join(was.unique(), on=["subject", "split"], how="semi")["subject"].n_unique() == 10
    apart, _, _ = extended(tmp_path / "d", before, fresh)
    assert apart["extended"]["moved_by_group"] == 0


def test_where_test_rows_are_given_some_new_ones_prove_what_is_new(tmp_path: Path) -> None:
    held = {"desk": rows(40), "held": rows(10, 80)}
    before = prepared(tmp_path / "a", held, given={"held": "test"})
    new = {"text": texts(30, 200), "label": ["limit"] * 28 + ["rare"] * 2}
    fresh = prepared(tmp_path / "b", {**held, "feedback": new}, given={"held": "test"})
    facts, tables, _ = extended(tmp_path / "c", before, fresh, test=0.25)
    told = facts["extended"]
    assert told["drawn"] == 7 == told["new"]["test"] and told["old"]["test"] == 10
    drawn = tables["test"].filter(pl.col("source_id") == "feedback")
    assert set(drawn["label"]) == {"limit"} and "rare" in facts["labels"]
    assert "no new row was given for test: 7 of 30 were drawn with seed 0" in facts["notes"]
    facts, _, _ = extended(tmp_path / "d", before, fresh, test=0.0)
    assert facts["extended"]["drawn"] == 0 == facts["extended"]["new"]["test"]
    people = {**new, "subject": [f"{at % 6:032x}" for at in range(30)]}
    by = {"given": {"held": "test"}, "split": {"group_by": "subject"}}
    fresh = prepared(tmp_path / "e", {**held, "feedback": people}, **by)
    _, tables, _ = extended(tmp_path / "f", before, fresh, group_by="subject")
    seen = pl.concat(tables[name].select("subject", split=pl.lit(name)) for name in SPLITS).drop_nulls()
    assert seen.group_by("subject").agg(pl.col("split").n_unique())["split"].max() == 1
    assert "test" in seen["split"].to_list()


def test_columns_that_only_one_side_has_are_empty_on_the_other(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"desk": rows(30, channel=["phone"] * 30)})
    fresh = prepared(tmp_path / "b", {"more": rows(20, 100, market=["de"] * 20)})
    _, tables, _ = extended(tmp_path / "c", before, fresh)
    every = pl.concat(tables[name] for name in SPLITS)
    assert every["channel"].null_count() == 20 and every["market"].null_count() == 30
    assert every.columns[:4] == ["row_id", "source_id", "subject", "parents"] and "_split" not in every.columns


def test_several_labels(tmp_path: Path) -> None:
    def told(sets: list[list[str]]) -> list[str]:
        return [json.dumps(one) for one in sets]

    names = [["card", "fee"], ["loan"], []] * 10
    tagged = {"task": "tag"}
    before = prepared(tmp_path / "a", {"desk": {"text": texts(30), "label": told(names)}}, **tagged)
    more = {"text": [*texts(3), *texts(12, 60)], "label": told([["loan"], *names[1:3], *[["limit"], ["fee"]] * 6])}
    fresh = prepared(tmp_path / "b", {"more": more}, **tagged)
    facts, tables, _ = extended(tmp_path / "c", before, fresh, task="tag")
    assert facts["labels"] == ["card", "fee", "limit", "loan"] and facts["extended"]["new_labels"] == ["limit"]
    assert facts["extended"]["relabelled"] == 1 and facts["extended"]["known"] == 3
    assert tables["train"].schema["label"] == pl.List(pl.String)
    facts, _, _ = extended(tmp_path / "d", before, fresh, task="tag", without=["desk"], near=None)
    assert facts["removed"] == {WITHDRAWN: 30}


def test_numbers(tmp_path: Path) -> None:
    number = {"task": "regress"}
    before = prepared(tmp_path / "e", {"desk": {"text": texts(30), "label": [float(at) for at in range(30)]}}, **number)
    fresh = prepared(
        tmp_path / "f", {"more": {"text": texts(20, 60), "label": [1000.0 + at for at in range(20)]}}, **number
    )
    facts, tables, _ = extended(tmp_path / "g", before, fresh, task="regress")
    assert facts["target"]["mean"] == pytest.approx(tables["train"]["label"].mean())
    assert facts["target"]["max"] >= 1000 > before.facts["target"]["max"]


def test_several_targets(tmp_path: Path) -> None:
    def columns(num: int, start: int) -> dict[str, list[Any]]:
        joy, anger = ([float(at % k) for at in range(num)] for k in (5, 7))
        return {"text": texts(num, start), "label:joy": joy, "label:anger": anger}

    several = {"task": "regress", "targets": ["joy", "anger"]}
    before = prepared(tmp_path / "a", {"desk": columns(30, 0)}, **several)
    fresh = prepared(tmp_path / "b", {"desk": columns(30, 0), "more": columns(12, 70)}, **several)
    facts, tables, _ = extended(tmp_path / "c", before, fresh, task="regress", targets=["joy", "anger"])
    assert facts["targets"] == ["joy", "anger"] and sum(facts["extended"]["new"].values()) == 12
    joy = tables["train"]["label"].list.get(0)
    assert facts["scale"]["joy"]["mean"] == pytest.approx(joy.mean())


def test_rows_out_of_scope_stay_out_of_the_splits_and_are_counted(tmp_path: Path) -> None:
    apart = {"outside": "oos"}
    strange = {"text": texts(10, 200), "label": ["oos"] * 10}
    secret = {"text": texts(6, 300), "label": ["oos"] * 6}
    before = prepared(tmp_path / "a", {"desk": rows(40), "strange": strange, "secret": secret}, **apart)
    later = {"text": texts(8, 206), "label": ["oos"] * 8}
    fresh = prepared(tmp_path / "b", {"desk": rows(40), "later": later, "more": rows(5, 500)}, **apart)
    facts, tables, _ = extended(tmp_path / "c", before, fresh, without=["secret"])
    # 10 of the champion, 8 read now of which 4 repeat them; the withdrawn source's leave here too.
    assert tables["outside"].height == 14 and facts["removed"] == {WITHDRAWN: 6, REPEATS: 4}
    assert not set(secret["text"]) & set(tables["outside"]["text"])
    assert facts["outside"]["validation"] + facts["outside"]["test"] == 14
    was = pl.read_parquet(before.path / "outside.parquet").filter(pl.col("source_id") == "strange")
    now = tables["outside"].join(was, on="row_id", how="inner")
    assert now.height == 10 and now["split"].to_list() == now["split_right"].to_list()
    assert sum(facts["extended"]["new"].values()) == 5 == tables["new"].height


@pytest.mark.parametrize("parents", ["table", "own", "both"])
def test_rows_that_were_joined_or_redacted_were_read_and_count(tmp_path: Path, parents: str) -> None:
    """They have parents, as rows that augmentation made have; of those alone nobody read a record."""

    def with_parents(splits: Artifact) -> Artifact:
        of_table, own = pl.lit("table-7"), pl.col("row_id")
        listed = {"table": pl.concat_list(of_table), "own": pl.concat_list(own), "both": pl.concat_list(own, of_table)}
        for name in SPLITS:
            path = splits.path / f"{name}.parquet"
            pl.read_parquet(path).with_columns(listed[parents].alias("parents")).write_parquet(path)
        return splits

    before = with_parents(prepared(tmp_path / "a", {"desk": rows(40), "old": rows(10, 60)}))
    train = pl.read_parquet(before.path / "train.parquet")
    made = train.filter(source_id="desk").head(4)
    made = made.with_columns(
        parents=pl.concat_list("row_id"), row_id=pl.col("row_id") + "-m", text=pl.col("text") + " ok"
    )
    pl.concat([train, made]).write_parquet(before.path / "train.parquet")
    fresh = with_parents(prepared(tmp_path / "b", {"desk": rows(44)}))
    given = {"before": before, "splits": fresh}
    facts = Extend(ExtendConfig(task="classify", without=("old",))).run(given, FakeContext(tmp_path / "c"))["splits"]
    assert facts["by_source"]["desk"] == {"read": 44, "kept": 44, "removed": 0, "quarantined": 0}
    assert facts["by_source"]["old"] == {"read": 10, "kept": 0, "removed": 10, "quarantined": 0}
    assert facts["rows"]["kept"] == 44 and sum(facts["splits"].values()) == 44 + 4
