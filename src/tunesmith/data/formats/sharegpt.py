"""ShareGPT's form: a list of turns, each `from` somebody with a `value`; calls of tools are turns of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunesmith.data.formats import messages
from tunesmith.data.formats.draft import Draft
from tunesmith.data.formats.reading import Reading
from tunesmith.data.formats.said import KEYS as OPENAI_KEYS
from tunesmith.data.formats.said import Keys

KEYS = Keys("from", "value")


def read(cells: Mapping[str, Any], reading: Reading) -> Draft:
    """The turns of a list of `{from, value}`.

    Raises: Fault.
    """
    return messages.read(cells, reading if reading.keys != OPENAI_KEYS else replace(reading, keys=KEYS))
