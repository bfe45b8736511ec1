"""The final splits: given ones kept, missing ones drawn, and what is odd about the result said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import polars as pl

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.tasks import is_language
from tunesmith.data import by_time, leakage
from tunesmith.data.clean import comparable
from tunesmith.data.dedupe import GIVEN, is_pool
from tunesmith.data.leakage import SPLIT
from tunesmith.data.prepare_config import PrepareConfig, SplitName
from tunesmith.data.quality import named, percent, rows
from tunesmith.data.sift import Sifted
from tunesmith.data.split import MIN_LABEL_ROWS, draw, draw_groups
from tunesmith.data.stratify import draw_tags
from tunesmith.data.targets import ANSWER, label_names


def partition(sifted: Sifted, config: PrepareConfig, given: Collection[str], seed: int, notes: list[str]) -> str:
    """Give every kept row its split, and return in words how that was decided; notes get what is worth knowing.

    Raises: DataError when a split is empty, or training has only one label or one target.
    """
    pool = sifted.kept.filter(is_pool())
    shares: dict[SplitName, float] = {}
    if "test" not in given:
        shares["test"] = config.split.test
    if "validation" not in given and config.split.validation:
        shares["validation"] = config.split.validation
    if shares and pool.height < len(shares) + 1:
        raise DataError(
            f"{pool.height} rows are too few to draw {' and '.join(shares)} from",
            seen=f"{pool.height} rows left after cleaning",
            next="add rows, or loosen the rules; `tunesmith plan` shows what was taken out and why",
        )
    stratify_by = config.split.stratify_by or ("label" if config.task in ("classify", "tag") else None)
    if config.split.by_time is not None:
        stratify_by = None
    drawn = _drawn(pool, config, stratify_by, shares, seed, notes)
    sifted.kept = sifted.kept.join(
        pl.DataFrame({"row_id": pool["row_id"], SPLIT: drawn}, schema={"row_id": pl.String, SPLIT: pl.String}),
        on="row_id",
        how="left",
        maintain_order="left",
    ).with_columns(pl.coalesce(SPLIT, GIVEN))
    if not config.clean.exact_duplicates:
        leakage.remove_shared(sifted)
    check_splits(sifted.kept, config, given)
    _note_labels(sifted.kept, config, notes)
    return _words(config, given, shares, stratify_by, seed)


def _drawn(
    pool: pl.DataFrame,
    config: PrepareConfig,
    stratify_by: str | None,
    shares: dict[SplitName, float],
    seed: int,
    notes: list[str],
) -> list[SplitName]:
    ids = _names(pool)
    if stratify_by is not None and stratify_by not in pool.columns:
        raise RecipeError(
            f"`stratify_by` names the column `{stratify_by}`, which no source has",
            seen=stratify_by,
            allowed=", ".join(name for name in pool.columns if not name.startswith("_")),
        )
    if config.split.by_time is not None:
        group_by = config.split.group_by
        return by_time.divided(pool, config.split.by_time, _own_groups(pool, group_by, notes), shares)
    strata = pool[stratify_by].to_list() if stratify_by else [None] * pool.height
    group_by = config.split.group_by
    is_tags = config.task == "tag" and stratify_by == "label"
    if is_tags and group_by is None:
        return draw_tags(pool[ANSWER].to_list(), ids, shares, seed)
    if group_by is None:
        is_label = config.task == "classify" and stratify_by == "label"
        if not is_label and config.task == "classify":
            # Another column is stratified, but a label too rare to be split still belongs to train.
            counts = pool.select(pl.len().over("label")).to_series().to_list()
            drawn = _without_rare(strata, ids, counts, shares, seed)
        else:
            drawn = draw(strata, ids, shares, seed, rare=is_label)
        return drawn
    alone = pool[group_by].null_count()
    if alone:
        notes.append(f"{rows(alone)} without `{group_by}`: each was split on its own")
    values = pool[group_by].cast(pl.String).to_list()
    # A subject's hash differs from project to project: a group is named by its first text instead.
    first: dict[str, str] = {}
    for value, name in zip(values, ids, strict=True):
        if value is not None:
            first[value] = min(name, first.get(value, name))
    groups = [
        f"row {name}" if value is None else f"group {first[value]}" for value, name in zip(values, ids, strict=True)
    ]
    # Having no label is a stratum of its own.
    sets = [names or [None] for names in pool[ANSWER].to_list()] if is_tags else [[one] for one in strata]
    return draw_groups(sets, groups, shares, seed)


def _own_groups(pool: pl.DataFrame, group_by: str | None, notes: list[str]) -> list[str] | None:
    """The group of each row, rows without one each a group of its own; None where rows are not grouped."""
    if group_by is None:
        return None
    if alone := pool[group_by].null_count():
        notes.append(f"{rows(alone)} without `{group_by}`: each was split on its own")
    values = zip(pool[group_by].cast(pl.String).to_list(), pool["row_id"].to_list(), strict=True)
    return [f"row {row_id}" if value is None else f"group {value}" for value, row_id in values]


def _names(pool: pl.DataFrame) -> list[str]:
    """A name for each row by its text, equal texts numbered: the same in every project, as a row id is not."""
    seen: Counter[str] = Counter()
    names = []
    for text in pool.select(comparable(pl.col("text"))).to_series():
        names.append(f"{text}\n{seen[text]}")
        seen[text] += 1
    return names


def _without_rare(
    strata: list[object], ids: list[str], label_counts: list[int], shares: dict[SplitName, float], seed: int
) -> list[SplitName]:
    common = [row for row, count in enumerate(label_counts) if count >= MIN_LABEL_ROWS]
    drawn = draw([strata[row] for row in common], [ids[row] for row in common], shares, seed, rare=False)
    splits: list[SplitName] = ["train"] * len(ids)
    for row, split in zip(common, drawn, strict=True):
        splits[row] = split
    return splits


def check_splits(kept: pl.DataFrame, config: PrepareConfig, given: Collection[str]) -> None:
    """Raise DataError when a split that is needed has no row, or train has one answer only."""
    present = set(kept[SPLIT])
    wanted = {"train", "test"} | ({"validation"} if config.split.validation or "validation" in given else set())
    for name in ("train", "validation", "test"):
        if name in wanted and name not in present:
            way_out = (
                "look in quarantine.parquet and removed.parquet for the reasons"
                if name in given
                else "add rows, loosen the rules, or split without `group_by`"
            )
            raise DataError(f"no row is left for {name}", seen=f"{kept.height} rows kept in all", next=way_out)
    values = kept.filter(pl.col(SPLIT) == "train")["label"]
    if values.n_unique() < 2 and not is_language(config.task):
        what = {"classify": "label", "tag": "set of labels", "regress": "target"}[config.task]
        raise DataError(
            f"there is only one {what} to train on: nothing can be learned from that",
            seen=f"`{values[0]}` in {len(values)} rows",
            allowed="two or more different ones",
            next="check which column is mapped to `label`, and that a rule or filter does not take the others out",
        )


def _note_labels(kept: pl.DataFrame, config: PrepareConfig, notes: list[str]) -> None:
    if config.task not in ("classify", "tag"):
        return
    names = label_names(kept, config.task).alias("label")
    counts = names.value_counts(name="rows").sort("label")
    once = counts.filter(pl.col("rows") == 1)["label"].to_list()
    rare = counts.filter(pl.col("rows").is_between(2, MIN_LABEL_ROWS - 1))["label"].to_list()
    if once:
        notes.append(f"label seen once: {named(once)}")
    if rare:
        notes.append(f"labels with fewer than {MIN_LABEL_ROWS} rows cannot be in every split: {named(rare)}")
    train = set(label_names(kept.filter(pl.col(SPLIT) == "train"), config.task))
    for name in ("validation", "test"):
        labels = label_names(kept.filter(pl.col(SPLIT) == name), config.task)
        unseen = sorted(set(labels) - train)
        if unseen:
            num_rows = rows(int(labels.is_in(unseen).sum()))
            notes.append(f"{name} has labels that train has not, counted as errors: {named(unseen)} ({num_rows})")


def _words(
    config: PrepareConfig,
    given: Collection[str],
    shares: dict[SplitName, float],
    stratify_by: str | None,
    seed: int,
) -> str:
    words = []
    kept = [name for name in ("train", "validation", "test") if name in given]
    if kept:
        words.append(f"{', '.join(kept)} as given")
    if shares:
        drawn = " and ".join(f"{name} {percent(share)}" for name, share in sorted(shares.items(), reverse=True))
        newest = f"{drawn}: the newest rows by `{config.split.by_time}`"
        words.append(f"{drawn} drawn with seed {seed}" if config.split.by_time is None else newest)
        if stratify_by:
            words.append(f"shares of `{stratify_by}` kept")
        if config.split.group_by:
            words.append(f"rows of the same `{config.split.group_by}` kept together")
    return "; ".join(words)
