"""Texts: documents and other running text, learned from beginning to end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.data.formats.draft import NO_CONTENT, Draft, Fault, Said
from tunesmith.data.formats.reading import Reading


def read(cells: Mapping[str, Any], reading: Reading) -> Draft:
    """The text as one turn of an assistant, who is asked nothing.

    Raises: Fault.
    """
    text = cells["text"]
    if not text or text.isspace():
        raise Fault(NO_CONTENT)
    return Draft([Said("assistant", text)])
