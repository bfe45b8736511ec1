"""What `tunesmith monitor` prints of a check."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from tunesmith.cli.monitor import shown
from tunesmith.lifecycle.monitor import Monitored


def outcome(name: str, group: str, adjusted: float, verdict: str, *, is_alert: bool) -> dict[str, Any]:
    return {
        "name": name, "group": group, "verdict": verdict, "is_alert": is_alert, "adjusted": adjusted, "effect": 0.2,
        "num_window": 80, "num_reference": 300,
    }  # fmt: skip


def printed(*tests: dict[str, Any], causes: list[dict[str, Any]]) -> str:
    primary = {"metric": "f1_macro", "value": 0.35, "low": 0.3, "high": 0.4, "test_value": 0.56, "verdict": "worse"}
    found = Monitored(
        "desk@3", "2026-11-21T12:00:00+00:00", None, None, bool(causes), causes, {"looked_at": 80}, list(tests),
        {"rows": 80, "scores": [primary], "primary": primary}, None, [], None, "monitor.html", 1.0,
    )  # fmt: skip
    console = Console(width=140)
    with console.capture() as capture:
        for line in shown(found):
            console.print(line)
    return capture.get()


@pytest.mark.parametrize(
    ("adjusted", "verdict", "is_alert", "words"),
    [
        (0.054, "not shown", False, "at release: worse by itself; with all tests together not shown"),
        (0.002, "changed", True, "at release: worse\n"),
    ],
)
def test_a_score_is_not_called_worse_where_the_tests_together_do_not_show_it(
    adjusted: float, verdict: str, is_alert: bool, words: str
) -> None:
    said = printed(outcome("f1_macro", "performance", adjusted, verdict, is_alert=is_alert), causes=[])
    assert words in said


def test_a_p_value_is_never_zero_and_an_alert_says_what_to_do_next() -> None:
    said = printed(
        outcome("characters", "text", 1e-9, "changed", is_alert=True),
        causes=[{"kind": "drift", "name": "characters", "words": "length", "value": 1e-9, "limit": 0.01}],
    )
    assert "< 0.0001" in said and "0.0000" not in said
    assert "tunesmith retrain desk --add FILE" in said
    assert "next" not in printed(outcome("characters", "text", 0.5, "not shown", is_alert=False), causes=[])
