"""docs/formats.md: every example is converted as written, every format and every reason is there."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from pathlib import Path

import pytest
from tests.unit.data.formats.formatted import formatted

from tunesmith.data import formats
from tunesmith.data.formats import draft
from tunesmith.data.formats.table import FORMATS

PAGE = (Path(__file__).parents[4] / "docs" / "formats.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"```json\n(.*?)\n```\n\n```text\n(.*?)\n```", re.DOTALL)
EXAMPLES = [
    (kind, source, text)
    for kind, body in re.findall(r"^## [^`\n]*`([a-z_]+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    for source, text in EXAMPLE.findall(body)
]


@pytest.mark.parametrize(("kind", "source", "text"), EXAMPLES, ids=[one[0] for one in EXAMPLES])
def test_every_example_is_what_is_written(kind: str, source: str, text: str, tmp_path: Path) -> None:
    facts, rows, _ = formatted(tmp_path, {name: [cell] for name, cell in json.loads(source).items()})
    assert facts["conversations"]["format"] == kind
    assert rows["text"].to_list() == [text]


def test_every_format_has_an_example() -> None:
    assert {kind for kind, _, _ in EXAMPLES} == set(FORMATS)
    assert len(EXAMPLES) == len(re.findall(r"^```json", PAGE, re.MULTILINE))


def test_every_reason_is_explained() -> None:
    modules = [
        importlib.import_module(f"{formats.__name__}.{one.name}") for one in pkgutil.iter_modules(formats.__path__)
    ]
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    stated = {value for name, value in vars(draft).items() if name.isupper() and isinstance(value, str)}
    sources = "\n".join(Path(module.__file__ or "").read_text(encoding="utf-8") for module in modules)
    stated |= set(re.findall(r'Fault\("([^"]+)"', sources)) | set(
        re.findall(r'^BAD_HISTORY = "([^"]+)"', sources, re.M)
    )
    assert len(stated) > 18
    assert [reason for reason in sorted(stated) if f"`{reason}" not in table] == []
