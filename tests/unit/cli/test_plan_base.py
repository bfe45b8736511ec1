"""What a plan says of where its base comes from."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.cli.plan_screen import origin

PARENT = {"model": "desk@3", "task": "classify", "base": {"name": "owner/tiny", "digest": "d"}}


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        ({}, []),
        ({"commit": "a" * 40}, [f"commit {'a' * 40}"]),
        (
            {"parent": {**PARENT, "trainable": "lora", "is_merged": True}},
            ["goes on from desk@3 (task classify): its adapter added into the weights of owner/tiny"],
        ),
        (
            {"parent": {**PARENT, "trainable": "full", "is_merged": False}},
            ["goes on from desk@3 (task classify): full trained over owner/tiny"],
        ),
    ],
)
def test_where_a_base_comes_from(facts: dict[str, Any], lines: list[str]) -> None:
    assert [line.plain.strip() for line in origin(facts)] == lines
