"""Every field of a config is documented where it stands, every kind in its wiring row; the reference page follows."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest

import tunesmith
from tunesmith.core import wiring
from tunesmith.recipe import reference

PACKAGE = Path(tunesmith.__file__).parent
PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipe.md"


def config_classes() -> dict[str, ast.ClassDef]:
    """Every class of the package that descends from ``Config``, found in the source: importing all would load torch."""
    classes = {
        f"{file.relative_to(PACKAGE).as_posix()}:{node.name}": node
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    names, found = {"Config"}, dict[str, ast.ClassDef]()
    while more := {
        place: node
        for place, node in classes.items()
        if place not in found and any(isinstance(base, ast.Name) and base.id in names for base in node.bases)
    }:
        found |= more
        names |= {node.name for node in more.values()}
    return found


def undocumented(node: ast.ClassDef) -> list[str]:
    """The fields of a class that no text follows."""
    following = [*node.body[1:], None]
    return [
        statement.target.id
        for statement, after in zip(node.body, following, strict=True)
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and not ast.unparse(statement.annotation).startswith("ClassVar")
        and not is_text(after)
    ]


def is_text(statement: ast.stmt | None) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
        and bool(statement.value.value.strip())
    )


def test_finds_the_config_classes() -> None:
    found = {node.name for node in config_classes().values()}
    assert {"Recipe", "TrainConfig", "TrainStageConfig", "AdamWConfig", "CsvConfig", "GateRule"} <= found


def test_a_field_without_a_text_is_found() -> None:
    node = ast.parse(
        'class A(Config):\n    a: int = 1\n    """Said."""\n    b: int = 2\n    c: ClassVar[int] = 3\n'
    ).body[0]
    assert isinstance(node, ast.ClassDef)
    assert undocumented(node) == ["b"]


@pytest.mark.parametrize(
    ("place", "node"), config_classes().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_field_is_documented(place: str, node: ast.ClassDef) -> None:
    assert undocumented(node) == [], f"{place}: fields without a text under them"
    assert ast.get_docstring(node), f"{place}: no docstring"


@pytest.mark.parametrize("table", get_args(wiring.Table))
def test_every_kind_is_documented(table: wiring.Table) -> None:
    assert [kind for kind, wire in wiring.rows(table).items() if not wire.doc.strip()] == []


@pytest.mark.parametrize("table", ["source", "method", "trainable", "optimizer"])
def test_every_kind_a_recipe_names_knows_its_kind(table: wiring.Table) -> None:
    for kind, wire in wiring.rows(table).items():
        assert wire.config is not None
        assert wiring.load(wire.config).model_fields["kind"].default == kind


def test_the_reference_page_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == reference.render(), "run: python -m tunesmith.recipe.reference > docs/recipe.md"
    written = PAGE.with_name("language-recipe.md").read_text(encoding="utf-8")
    command = "python -m tunesmith.recipe.reference language > docs/language-recipe.md"
    assert written == reference.render_language(), f"run: {command}"
