"""The stage `prepare`: datasets in; train, validation and test rows out, and a count of every row that is in none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from tunesmith.core.errors import DataError, RecipeError, StepError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.core.tasks import Task, is_language
from tunesmith.data import (
    by_time,
    clean,
    contamination,
    dedupe,
    language,
    leakage,
    noise,
    outside,
    prompts,
    quality,
    rules,
    shape,
    split,
    targets,
)
from tunesmith.data.changes import Changes
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.gather import Gathered, gather
from tunesmith.data.leakage import SPLIT
from tunesmith.data.partition import check_splits, partition
from tunesmith.data.prepare_config import PrepareConfig, SplitName
from tunesmith.data.row_groups import write_table
from tunesmith.data.sift import Sifted

NUM_STEPS = 6


class Prepare:
    """Cleans, checks and splits datasets."""

    makes: ClassVar[Mapping[str, str]] = {"splits": "splits", "quality": "quality"}

    def __init__(self, config: PrepareConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the splits and of the quality report; every record read is kept, removed or in quarantine.

        Raises: DataError when what is left cannot be learned from or proven on; RecipeError when the recipe names a
        column or source that is not there.
        """
        config, step = self.config, _steps(context)
        step("reading")
        inputs = shape.inputs(given, config)
        gathered, config = _gathered(inputs, config)
        measured: dict[str, Any] = {}
        notes = list(gathered.notes)
        step("repairing")
        changes = Changes(context.out / "quality")
        gathered, repaired = shape.shaped(gathered, inputs.tables, config, changes)
        rows = split.with_given(gathered.rows, self._given(inputs.sources))
        gathered = replace(gathered, rows=gathered.rows.clear())
        columns = [name for name in gathered.mapped if name not in ("split", *prompts.WRITTEN)]
        if rows["subject"].null_count() < rows.height:
            columns.append("subject")
        measured["completeness"] = quality.completeness(rows, columns)
        num_given = rows[dedupe.GIVEN].value_counts()
        sifted = Sifted(rows, gathered.mapped)
        del rows
        step("checking")
        shape.quarantine_refused(sifted)
        sifted.take_out("quarantined", clean.is_missing("text"), "text is missing")
        noise.quarantine(sifted, config.noise)
        language.quarantine(sifted, config.language)
        targets.read(sifted, config)
        measured["validity"] = rules.quarantine(sifted, config.rules)
        _refuse_nothing_left(sifted, gathered)
        sifted.kept = dedupe.with_key(sifted.kept)
        measured["consistency"] = quality.consistency(sifted.kept, targets.label_names(sifted.kept, config.task))
        step("looking for duplicates")
        measured["uniqueness"] = _deduplicate(sifted, config, notes)
        step("splitting")
        _refuse_nothing_left(sifted, gathered)
        if config.task == "tag":
            targets.drop_rare(sifted, config.labels, notes)
        aside = outside.set_aside(sifted, config.outside)
        by_time.quarantine_without(sifted, config.split.by_time)
        split_by = partition(sifted, config, _names(num_given), context.seed, notes)
        aside = outside.parted(aside, config, _names(num_given), context.seed, notes)
        contaminated, near = contamination.remove(sifted, config)
        check_splits(sifted.kept, config, _names(num_given))
        leakage.check(sifted.kept, config.split.group_by)
        measured["uniqueness"]["across_splits"] = near
        step("writing")
        measured["text"] = quality.text_lengths(sifted.kept)
        measured["balance"] = quality.balance(targets.label_names(sifted.kept, config.task))
        measured["notes"] = quality.notes(measured, sum(gathered.read.values()))
        facts: Facts = {"contamination": contaminated, "changes": changes.facts()}
        facts["lost_by_source"] = sifted.reasons_by_source()
        facts |= {"task": config.task, "split_by": split_by, "notes": notes, "repaired": repaired}
        facts["repair"] = _repairs(config, given)
        facts["privacy"] = next((one.facts["privacy"] for one in given.values() if "privacy" in one.facts), None)
        facts |= self._write(sifted, aside, gathered, context.out / "splits")
        _write_json(context.out / "quality" / "quality.json", measured)
        return {"splits": facts, "quality": measured}

    def _given(self, given: Given) -> dict[str, Any]:
        strange = sorted(set(self.config.given) - set(given))
        if strange:
            raise RecipeError("a split is given for a source that is not there", seen=strange, allowed=", ".join(given))
        return dict(self.config.given)

    def _write(self, sifted: Sifted, aside: pl.DataFrame, gathered: Gathered, out: Path) -> Facts:
        """Write the tables and return the facts that count them.

        Raises: StepError when a record is lost or counted twice.
        """
        out.mkdir(parents=True, exist_ok=True)
        columns = [*LINEAGE, *gathered.mapped]
        parts = {name: sifted.kept.filter(pl.col(SPLIT) == name) for name in split.SPLITS}
        for name, part in parts.items():
            write_table(targets.written(part).select(columns), out / f"{name}.parquet")
        if self.config.outside is not None:
            named = [*(name for name in columns if name != "split"), pl.col(SPLIT).alias("split")]
            aside.select(named).write_parquet(out / outside.OUTSIDE)
        removed = sifted.removed()
        quarantined = pl.concat([gathered.refused, sifted.quarantined()])
        removed.drop("_why").write_parquet(out / "removed.parquet")
        quarantined.drop("_why").write_parquet(out / "quarantine.parquet")
        fates = {"kept": pl.concat([sifted.kept, aside]), "removed": removed, "quarantined": quarantined}
        by_source = {
            source: {"read": read, **{fate: _of(frame, source) for fate, frame in fates.items()}}
            for source, read in gathered.read.items()
        }
        total = {"read": sum(gathered.read.values()), **{fate: frame.height for fate, frame in fates.items()}}
        check_counts({"all sources": total, **by_source})
        facts: Facts = {
            "rows": total,
            "removed": _counts(removed["_why"]),
            "quarantined": _counts(quarantined["_why"]),
            "by_source": by_source,
            "splits": {name: part.height for name, part in parts.items()},
        }
        if self.config.outside is not None:
            facts["outside"] = outside.facts_of(aside, self.config.outside)
        return facts | learned(parts, self.config.task, self.config.targets)


def learned(parts: Mapping[SplitName, pl.DataFrame], task: Task, names_of_targets: Sequence[str]) -> Facts:
    """What the training rows say of the labels or targets."""
    train = parts["train"]
    if is_language(task):
        return {"labels": [], "label_counts": {}}
    if task == "regress":
        facts: Facts = {"labels": [], "label_counts": {}}
        if len(names_of_targets) < 2:
            return {**facts, "target": _target(train["label"])}
        numbers = targets.scales(train, names_of_targets)
        scale = {name: _target(column) for name, column in numbers.items()}
        return {**facts, "targets": list(scale), "scale": scale}
    names = {split_name: targets.label_names(part, task) for split_name, part in parts.items()}
    facts = {
        "labels": names["train"].unique().sort().to_list(),
        "label_counts": {split_name: _counts(one) for split_name, one in names.items()},
    }
    if task == "tag":
        per_row = targets.written(train)["label"].list.len().value_counts(name="n").sort("label")
        facts["labels_per_row"] = {str(number): n for number, n in per_row.iter_rows()}
    return facts


def _gathered(inputs: shape.Inputs, config: PrepareConfig) -> tuple[Gathered, PrepareConfig]:
    """The rows of all sources with what is learned of them, and the config with what the rows themselves decide."""
    if not is_language(config.task):
        return targets.joined(gather(inputs.sources, inputs.made), config), config
    gathered = prompts.beside(targets.joined(gather(inputs.sources, inputs.made, roles=("text",)), config))
    return gathered, prompts.kept_together(config, gathered)


def _deduplicate(sifted: Sifted, config: PrepareConfig, notes: list[str]) -> dict[str, int]:
    dedupe.remove_leaks(sifted)
    if config.split.group_by:
        _check_group(config.split.group_by, sifted.kept)
        dedupe.remove_shared_groups(sifted, config.split.group_by)
    stay = 0
    if config.clean.exact_duplicates:
        stay = dedupe.remove_exact(sifted)
        if stay:
            again = "repeats" if stay == 1 else "repeat"
            notes.append(f"{quality.rows(stay)} of given proving splits {again} another row there: kept as given")
    if config.clean.near_duplicates is not None:
        dedupe.remove_near(sifted, config.clean.near_duplicates, config.task)
    reasons = sifted.reasons()
    near = sum(n for reason, n in reasons.items() if reason.startswith(("near duplicate", "nearly the same")))
    exact = sum(n for reason, n in reasons.items() if reason == "exact duplicate" or reason.startswith("same text as"))
    return {"exact_duplicates": exact + stay, "near_duplicates": near}


def check_counts(counts: Mapping[str, Mapping[str, int]]) -> None:
    """Raise StepError unless read = kept + removed + quarantined for every one."""
    for name, rows in counts.items():
        if rows["read"] != rows["kept"] + rows["removed"] + rows["quarantined"]:
            raise StepError(
                f"rows of {name} were lost or counted twice: this is a fault of tunesmith, please report it",
                seen=", ".join(f"{fate} {n}" for fate, n in rows.items()),
                allowed="read = kept + removed + quarantined",
            )


def _steps(context: StepContext) -> Callable[[str], None]:
    done = 0

    def step(note: str) -> None:
        nonlocal done
        context.check_cancelled()
        context.progress(done, NUM_STEPS, "steps", note)
        done += 1

    return step


def _check_group(column: str, kept: pl.DataFrame) -> None:
    if column not in kept.columns or kept[column].null_count() == kept.height:
        raise DataError(
            f"rows cannot be grouped by `{column}`: no row has a value there",
            seen=column,
            allowed=", ".join(name for name in kept.columns if not name.startswith("_")),
            next=f"map it in the source: `columns: {{{column}: its name in the source}}`, or leave `group_by` out",
        )


def _refuse_nothing_left(sifted: Sifted, gathered: Gathered) -> None:
    if not sifted.kept.is_empty():
        return
    reasons = Counter(sifted.reasons()) + Counter(gathered.refused["_why"].to_list())
    listed = "; ".join(f"{reason}: {n}" for reason, n in reasons.most_common(10))
    raise DataError(
        f"no row is left of {sum(gathered.read.values())} read",
        seen=listed or "the sources are empty",
        next="check the `columns` of the sources and the `rules`: `tunesmith plan` shows what each takes out",
    )


def _names(counts: pl.DataFrame) -> set[str]:
    return {name for name in counts[dedupe.GIVEN].to_list() if name is not None}


def _of(frame: pl.DataFrame, source: str) -> int:
    return int((frame["source_id"] == source).sum())


def _counts(values: pl.Series) -> dict[str, int]:
    """How often each value occurs, the most frequent first."""
    counted = values.alias("value").value_counts(name="n").sort("n", "value", descending=[True, False])
    return dict(counted.iter_rows())


def _target(labels: pl.Series) -> dict[str, float]:
    mean, std, low, high = labels.mean(), labels.std(ddof=0), labels.min(), labels.max()
    return {"mean": float(mean), "std": float(std), "min": float(low), "max": float(high)}  # type: ignore[arg-type]


def _repairs(config: PrepareConfig, given: Given) -> dict[str, bool]:
    """What was repaired in every text: here, or where rows became conversations."""
    before = [one.facts["repair"] for one in given.values() if "repair" in one.facts]
    here = {"unicode": config.clean.unicode, "whitespace": config.clean.whitespace}
    return {name: is_on or any(one[name] for one in before) for name, is_on in here.items()}


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False), "utf-8")
