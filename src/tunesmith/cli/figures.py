"""Figures as people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

IN_THE_REPORT = ("f1_micro", "precision_micro", "recall_micro", "precision_weighted", "recall_weighted")
"""With one label a row the micro averages equal accuracy, and weighted recall does too: the report and ``--json`` have
them, a screen has other things to show."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def seconds(value: float) -> str:
    """``0.4 s``, ``12 s``, ``2 min 34 s``, ``1 h 05 min``."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(num_bytes: float) -> str:
    """``512 MB``, ``1.4 GB``."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def count(number: float, one: str, many: str | None = None) -> str:
    """``1 row``, ``1,204 rows``."""
    return f"{number:,.0f} {one if number == 1 else many or one + 's'}"


def counts(by_name: Mapping[str, float]) -> str:
    """``15 exact duplicate · 10 near duplicate``, the largest first."""
    ordered = sorted(by_name.items(), key=lambda item: -item[1])
    return " · ".join(f"{number:,} {shown(name)}" for name, number in ordered)


def score(value: float) -> str:
    """A score with as many digits as say something: ``0.912``, ``1,204``."""
    return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"


def share(value: float) -> str:
    """A part of a whole: ``4.2 %``, and ``< 0.1 %`` of what is next to nothing."""
    if 0 < value < 0.001:
        return "< 0.1 %"
    return f"{100 * value:,.0f} %" if value >= 0.1 else f"{100 * value:.2g} %"


def interval(measured: Mapping[str, Any] | None) -> str:
    """``0.912 [0.880, 0.941]``; a dash where it was not measured."""
    if not measured:
        return "–"
    return f"{score(measured['value'])} [{score(measured['low'])}, {score(measured['high'])}]"


def p_value(value: float) -> str:
    """``p = 0.0312``, and never a zero: no test can show that."""
    return f"p = {value:.4f}" if value >= 0.0001 else "p < 0.0001"


def main_metrics(measured: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics that a screen shows."""
    return {name: value for name, value in measured.items() if name not in IN_THE_REPORT}


def printable(text: str) -> str:
    """A text in its lines, without what a terminal would take as a command."""
    return "\n".join(CONTROL.sub("", line.replace("\t", "    ")) for line in text.split("\n"))


def shown(text: object, most: int = 80) -> str:
    """A text of unknown origin in one line: no control characters, which a terminal would obey."""
    line = CONTROL.sub(" ", str(text)).strip()
    return line if len(line) <= most else f"{line[: most - 1]}…"
