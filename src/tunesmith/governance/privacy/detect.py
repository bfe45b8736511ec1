"""Finds personal data in columns of texts: a gate over the whole column first, patterns only on the rows it lets by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import polars as pl

from tunesmith.governance.privacy import addresses, identifiers, online, payments, people, phones
from tunesmith.governance.privacy.config import PrivacyConfig
from tunesmith.governance.privacy.finding import CERTAIN, Candidate, Finding, Rule, resolved
from tunesmith.governance.privacy.patterns import compiled

WINDOW_CHARS, OVERLAP_CHARS = 16_384, 1_024
"""Long texts are looked at piece by piece, so that also a customer's pattern that looks far ahead for each match stays
linear in the text's length. The pieces overlap by more than the longest value."""
SLICE_ROWS = 50_000


class Detector:
    """What a configuration looks for; the same for rows that are trained on and texts that are answered."""

    def __init__(self, config: PrivacyConfig) -> None:
        self.config = config

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that are applied, compiled once."""
        config = self.config
        made = [
            *online.rules(),
            *payments.rules(),
            *identifiers.rules(config.countries),
            *phones.rules(config.regions),
            *people.rules(),
            *addresses.rules(),
        ]
        return (*made, *(_own(name, pattern) for name, pattern in config.patterns.items()))

    def find(self, texts: pl.Series) -> dict[int, list[Finding]]:
        """The findings of each row that has any, by its place: none overlap, none is below ``min_score``."""
        found: dict[int, list[Finding]] = defaultdict(list)
        for start in range(0, len(texts), SLICE_ROWS):
            self._slice(texts.slice(start, SLICE_ROWS), start, found)
        least, is_kept = self.config.min_score, lambda entity: self.config.action(entity) == "allow"
        result = {}
        for row in sorted(found):
            if kept := resolved((one for one in found[row] if one.score >= least), is_kept):
                result[row] = kept
        return result

    def find_in(self, text: str) -> list[Finding]:
        """The findings of one text."""
        return self.find(pl.Series([text], dtype=pl.String)).get(0, [])

    def _slice(self, texts: pl.Series, offset: int, found: dict[int, list[Finding]]) -> None:
        for rule in self.rules:
            rows = texts.str.contains(rule.gate).arg_true()
            for row, text in zip(rows.to_list(), texts.gather(rows).to_list(), strict=True):
                found[offset + row].extend(_matches(rule, text))


def _own(name: str, pattern: str) -> Rule:
    def judge(one: Candidate) -> Finding | None:
        return one.found(name, CERTAIN, True) if one.value else None

    # Polars knows another dialect: every row goes to RE2.
    return Rule((name,), "", compiled(pattern), judge)


def _matches(rule: Rule, text: str) -> Iterator[Finding]:
    for start, window in _windows(text):
        for one in _in_window(rule, window):
            yield one if not start else replace(one, start=one.start + start, end=one.end + start)


def _in_window(rule: Rule, window: str) -> Iterator[Finding]:
    group = 1 if rule.pattern.groups else 0
    place = 0
    while place < len(window):
        for match in rule.pattern.finditer(window, place):
            if (span := match.span(group))[0] < 0:
                continue
            one = rule.judge(Candidate(window, *span))
            if one is None:
                continue
            yield one
            if one.end < match.end():
                # The judge took less than the pattern: what it left may be the beginning of the next value.
                place = one.end
                break
        else:
            return


def _windows(text: str) -> Iterator[tuple[int, str]]:
    if len(text) <= WINDOW_CHARS:
        yield 0, text
        return
    start = 0
    while True:
        end = min(len(text), start + WINDOW_CHARS)
        if end < len(text):
            # At a space, so that no value is cut in two where it can be helped.
            space = text.rfind(" ", start + WINDOW_CHARS // 2, end)
            end = space if space > 0 else end
        yield start, text[start:end]
        if end == len(text):
            return
        start = end - OVERLAP_CHARS
