"""The stage `tokens`: splits in, token rows with their weights out, and a count of everything that is not in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import polars as pl

from tunesmith.core.errors import DataError, ModelError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.core.tasks import is_language
from tunesmith.models.templates.render import Renderer
from tunesmith.models.templates.template import ChatTemplate, choose
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.language.built import Kept, Left
from tunesmith.training.language.built import Sequence as Made
from tunesmith.training.language.conversations import Conversations
from tunesmith.training.language.pairs import Pairs
from tunesmith.training.language.samples import MOST_SAMPLES, sample
from tunesmith.training.language.texts import Texts
from tunesmith.training.language.token_counts import Counts
from tunesmith.training.language.token_files import TokenFiles
from tunesmith.training.language.tokens_config import TokensConfig
from tunesmith.training.rows import SPLITS

ROWS_TOGETHER = 256
DAY = "2024-07-26"
"""What a template's ``strftime_now`` writes in training, so that equal rows give equal tokens on any day. It is the day
that Llama 3.1's template names where it is given none."""


class Maker(Protocol):
    """Makes sequences of rows."""

    def rows(self, table: list[dict[str, Any]]) -> list[Kept | Left]:
        """What becomes of each row, in order."""


class Tokens:
    """Turns the rows of every split into tokens, and says which of them are trained."""

    makes: ClassVar[Mapping[str, str]] = {"tokens": "tokens"}

    def __init__(self, config: TokensConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the token rows.

        Raises: DataError where no token of the training rows is trained, or a row is too long and the policy is
        `refuse`; ModelError where template, tokenizer and model do not go together.
        """
        base, splits, config = given["base"], given["splits"], self.config
        vocabulary = Vocabulary.open(base.path / "files")
        max_tokens = _max_tokens(base.facts, config)
        template = choose(
            base.path / "files",
            vocabulary,
            choice=config.template,
            task=config.task,
            text=config.template_text,
        )
        network = str(base.facts.get("network", "decoder"))
        with ExitStack() as stack:
            maker: Maker
            if config.method == "continued_pretraining":
                maker = Texts(vocabulary, max_tokens, config.policy, is_encoder=network == "encoder")
            elif network == "encoder_decoder":
                maker = Pairs(vocabulary, max_tokens, config.policy)
            else:
                renderer = stack.enter_context(Renderer(template, vocabulary, DAY))
                maker = Conversations(renderer, vocabulary, config.train_on, max_tokens, config.policy)
            work = _Work(config, maker, vocabulary, _num_vocabulary(base.facts))
            for split in SPLITS:
                work.split(split, splits.path / f"{split}.parquet", context)
        facts = self._facts(work, template, vocabulary, max_tokens)
        facts |= {name: splits.facts[name] for name in ("repair", "privacy") if name in splits.facts}
        if isinstance(work.maker, Conversations):
            template.write(context.out / "tokens")  # training saves it with the model
        _refuse_too_long(facts, config)
        _refuse_nothing(facts)
        for split in ("validation", "test"):
            if facts["by_split"][split]["rows"] and not facts["by_split"][split]["trained_tokens"]:
                context.warn(f"no token of the {split} rows is trained, so nothing can be measured on them")
        return {"tokens": facts}

    def _facts(self, work: _Work, template: ChatTemplate, vocabulary: Vocabulary, max_tokens: int) -> Facts:
        config = self.config
        is_rendered = isinstance(work.maker, Conversations)
        name = template.facts() if is_rendered else {"name": "none", "source": "texts as they are", "digest": ""}
        return {
            "method": config.method,
            "train_on": config.train_on if config.method == "sft" else "all",
            "template": name,
            "tokenizer": vocabulary.digest,
            "num_vocabulary": work.num_vocabulary,
            "max_tokens": max_tokens,
            "policy": config.policy,
            "sources": None if config.sources is None else list(config.sources),
            "ends": sorted(work.ends),
            "by_source": {source: counts.facts() for source, counts in sorted(work.by_source.items())},
            "by_split": {split: counts.facts() for split, counts in work.by_split.items()},
            "by_split_and_source": {
                split: {source: counts.facts() for source, counts in sorted(found.items())}
                for split, found in work.by_both.items()
            },
            "samples": work.samples,
        }


class _Work:
    """Goes through the splits with one maker, counting."""

    def __init__(self, config: TokensConfig, maker: Maker, vocabulary: Vocabulary, num_vocabulary: int) -> None:
        self.config, self.maker, self.vocabulary, self.num_vocabulary = config, maker, vocabulary, num_vocabulary
        self.by_source: dict[str, Counts] = {}
        self.by_split: dict[str, Counts] = {}
        self.by_both: dict[str, dict[str, Counts]] = {}
        self.samples: list[Any] = []
        self.num_seen = 0
        self.ends: set[int] = set()
        """Ids of the tokens that end trained turns: a model that writes one is done."""

    def split(self, name: str, path: Path, context: StepContext) -> None:
        """Turn the rows of one split into tokens."""
        num_rows = _scan(path, self.config, name).select(pl.len()).collect().item()
        self.by_split[name], self.by_both[name] = Counts(), {}
        self.num_seen = 0
        files = TokenFiles(context.out / "tokens", name)
        try:
            for table in _tables(path, self.config, name):
                context.check_cancelled()
                for row, made in zip(table, self.maker.rows(table), strict=True):
                    self._take(name, row, made, files, num_rows)
                    self.num_seen += 1
                context.progress(self.num_seen, num_rows, "rows", name)
        finally:
            files.close()

    def _take(self, split: str, row: dict[str, Any], made: Kept | Left, files: TokenFiles, num_rows: int) -> None:
        row_id, source = row["row_id"], row["source_id"]
        by_both = self.by_both[split].setdefault(source, Counts())
        counts = (self.by_source.setdefault(source, Counts()), self.by_split[split], by_both)
        if isinstance(made, Left):
            files.leave(row_id, source, made)
            for one in counts:
                one.leave(made)
            return
        for part in made.parts:
            self._check_ids(part, row_id)
        made = replace(made, has_control=self.vocabulary.has_control(row.get("messages") or row.get("text") or ""))
        files.keep(row_id, source, made)
        for one in counts:
            one.keep(made, self.vocabulary.unknown)
        if split == "train":
            # Not the first ones: rows that follow each other are often alike.
            if self.num_seen * MOST_SAMPLES >= len(self.samples) * num_rows and len(self.samples) < MOST_SAMPLES:
                self.samples.append(sample(made.parts[0], self.vocabulary))
            last = made.parts[-1]
            if last.weights_T[last.control_T].any():
                self.ends.add(int(last.tokens_T[(last.weights_T != 0) & last.control_T][-1]))

    def _check_ids(self, made: Made, row_id: str) -> None:
        largest = int(made.tokens_T.max())
        if largest >= self.num_vocabulary:
            raise ModelError(
                "the tokenizer has tokens that the model has no embedding for",
                seen=f"id {largest} ({self.vocabulary.fast.id_to_token(largest)!r}) in row {row_id}",
                allowed=f"ids below {self.num_vocabulary:,}, the size of the model's vocabulary",
                next="use the tokenizer.json that came with the weights",
            )


def _scan(path: Path, config: TokensConfig, split: str) -> pl.LazyFrame:
    """The rows of a split that are read."""
    scan = pl.scan_parquet(path)
    if config.held_out == "validation" and split != "train":
        return scan if split == "validation" else scan.clear()
    return scan if config.sources is None else scan.filter(pl.col("source_id").is_in(config.sources))


def _tables(path: Path, config: TokensConfig, split: str) -> Iterator[list[dict[str, Any]]]:
    """The rows of a split, a few at a time."""
    scan = _scan(path, config, split)
    columns = ["row_id", "source_id", "text"]
    if config.method == "sft":
        columns = ["row_id", "source_id", "messages", "tools"]
        if "tools" not in scan.collect_schema().names():
            scan = scan.with_columns(tools=pl.lit(None, pl.String))
    for batch in scan.select(columns).collect_batches(chunk_size=ROWS_TOGETHER, maintain_order=True):
        for first in range(0, batch.height, ROWS_TOGETHER):
            yield batch[first : first + ROWS_TOGETHER].to_dicts()


def _max_tokens(base: Mapping[str, Any], config: TokensConfig) -> int:
    # Of an encoder's positions some families leave the first ones free, which its longest text allows for.
    is_encoder = base.get("network") == "encoder"
    limit = int((None if is_encoder else base.get("max_positions")) or base["max_tokens"])
    wanted = config.max_tokens or int(base.get("max_tokens") or limit)
    if wanted > limit:
        raise DataError(
            f"{_place(config)}.max_tokens is more than the model can read",
            seen=wanted,
            allowed=f"at most {limit:,}",
            next=f"write `max_tokens: {limit}`, or less, under `{_place(config)}`",
        )
    return wanted


def _place(config: TokensConfig) -> str:
    """Where a recipe says how rows become tokens: of a head's recipe in the phase itself."""
    return "tokens" if is_language(config.task) else "train"


def _num_vocabulary(base: Mapping[str, Any]) -> int:
    return int(base.get("num_vocabulary") or base["vocabulary"])


def _refuse_too_long(facts: Facts, config: TokensConfig) -> None:
    if config.policy != "refuse":
        return
    reason = f"longer than {facts['max_tokens']:,} tokens"
    found = {source: one["reasons"].get(reason, 0) for source, one in facts["by_source"].items()}
    if any(found.values()):
        raise DataError(
            "rows are longer than the model's context, and the length policy is `refuse`",
            seen=", ".join(f"{source}: {number:,} rows" for source, number in found.items() if number),
            allowed=f"at most {facts['max_tokens']:,} tokens",
            next=f"choose what is lost: `length_policy: drop` under `{_place(config)}` (or truncate_left, "
            "truncate_right, split)",
        )


def _refuse_nothing(facts: Facts) -> None:
    """Raises: DataError where no token of the training rows is trained, with the reasons by source."""
    if facts["by_split"]["train"]["trained_tokens"]:
        return
    lines = []
    reasons: dict[str, int] = {}
    for source, one in facts["by_split_and_source"]["train"].items():
        said = ", ".join(f"{number:,} {reason}" for reason, number in one["reasons"].items())
        lines.append(f"{source}: {one['rows']:,} rows: {said or 'none'}")
        for reason, number in one["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + number
    most = max(reasons, key=lambda reason: reasons[reason], default="")
    if "tokens" in most:
        way = "--set tokens.length_policy=truncate_left, or a larger tokens.max_tokens"
    elif most.startswith("the template"):
        way = "--set tokens.template=chatml"
    else:
        way = "--set tokens.train_on=all, or rows with answers"
    raise DataError(
        "no token of the training rows would be trained",
        seen="; ".join(lines) or "no training rows",
        allowed="at least one token",
        next=f"tunesmith plan RECIPE {way}",
    )
