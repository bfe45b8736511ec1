"""docs/artifacts.md, the contract between stages, names every stage of the wiring table and all that it makes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import tunesmith
from tunesmith.core import wiring

PACKAGE = Path(tunesmith.__file__).parent
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "artifacts.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^#{2,3} (.*?)\n(.*?)(?=^#{2,3} |\Z)", PAGE, re.MULTILINE | re.DOTALL)


def makes(wire: wiring.Wire) -> dict[str, str]:
    """Output name → artifact kind of a stage, read from its source: importing all would load torch."""
    module, _, name = wire.make.partition(":")
    file = PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for statement in node.body:
                if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == "makes":
                    assert statement.value is not None
                    found: dict[str, str] = ast.literal_eval(statement.value)
                    return found
    raise AssertionError(f"{wire.make} says nowhere what it makes")


@pytest.mark.parametrize("wire", wiring.rows("stage").values(), ids=lambda wire: wire.kind)
def test_the_contract_names_every_stage_and_what_it_makes(wire: wiring.Wire) -> None:
    about = [heading + body for heading, body in SECTIONS if re.search(rf"stages?\b.*`{wire.kind}`", heading)]
    assert about, f"docs/artifacts.md has no heading with the stage `{wire.kind}`"
    words = "\n".join(about)
    for output, kind in makes(wire).items():
        assert output in words, f"docs/artifacts.md does not say what `{wire.kind}` makes as `{output}`"
        assert re.search(rf"\b{kind}\b", PAGE)


def test_the_contract_names_no_stage_that_is_not_there() -> None:
    stages = [part for heading, _ in SECTIONS for part in re.findall(r"stages? ([^)]*)", heading)]
    named = {name for part in stages for name in re.findall(r"`([a-z_]+)`", part)}
    assert named == set(wiring.rows("stage"))
