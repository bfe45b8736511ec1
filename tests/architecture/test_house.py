"""The house in order: imports run downwards, nothing runs foreign code, every part is named, small and documented."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import tunesmith
from tunesmith.core import wiring
from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError

PACKAGE = Path(tunesmith.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {file.relative_to(PACKAGE).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in FILES}

MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
RUNS_CODE = {
    "eval": "runs text",
    "exec": "runs text",
    "compile": "makes code of text",
    "torch.load": "may unpickle",
    "pickle": "runs code when opened",
    "cPickle": "runs code when opened",
    "_pickle": "runs code when opened",
    "dill": "runs code when opened",
    "cloudpickle": "runs code when opened",
    "joblib": "unpickles",
    "marshal": "is no safe format",
    "shelve": "unpickles",
    "os.system": "runs a shell",
}


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name or attribute, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}" if dotted(node.value) else ""
    return ""


def dangers(tree: ast.AST) -> Iterator[str]:
    """What in a module could run code that we did not write."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [f"{module}.{one.name}" if module else one.name for one in node.names]
            for name in (module, *names):
                if name.split(".")[0] in RUNS_CODE or name in RUNS_CODE:
                    yield f"line {node.lineno}: {name} {RUNS_CODE.get(name) or RUNS_CODE[name.split('.')[0]]}"
        elif isinstance(node, ast.Call):
            if dotted(node.func) in RUNS_CODE:
                yield f"line {node.lineno}: {dotted(node.func)} {RUNS_CODE[dotted(node.func)]}"
            for word in node.keywords:
                is_false = isinstance(word.value, ast.Constant) and word.value.value is False
                if word.arg in ("allow_pickle", "trust_remote_code", "shell") and not is_false:
                    yield f"line {node.lineno}: {word.arg} must be False"
                if word.arg in ("use_safetensors", "weights_only") and not (
                    isinstance(word.value, ast.Constant) and word.value.value is True
                ):
                    yield f"line {node.lineno}: {word.arg} must be True"


@pytest.mark.parametrize("file", TREES)
def test_no_module_can_run_foreign_code(file: str) -> None:
    assert list(dangers(TREES[file])) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "from torch import load",
        "import torch\ntorch.load('x')",
        "eval('1')",
        "np.load('x', allow_pickle=True)",
        "A.from_pretrained('x', trust_remote_code=True)",
        "A.from_pretrained('x', trust_remote_code=given)",
        "A.from_pretrained('x', use_safetensors=False)",
        "subprocess.run('ls', shell=True)",
    ],
)
def test_the_check_sees_what_it_should(code: str) -> None:
    assert list(dangers(ast.parse(code)))


def test_every_from_pretrained_forbids_pickles_remote_code_and_the_network() -> None:
    calls = {
        f"{file}:{node.lineno}": {word.arg for word in node.keywords}
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "from_pretrained"
    }
    assert calls
    assert {place for place, words in calls.items() if not {"trust_remote_code", "local_files_only"} <= words} == set()


def test_imports_run_downwards() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_modules_are_named_for_what_they_define() -> None:
    names = {file: set(Path(file).with_suffix("").parts) for file in TREES}
    assert {file for file, parts in names.items() if parts & EMPTY_NAMES} == set()


def test_files_are_no_longer_than_a_reader_bears() -> None:
    lines = {file: len((PACKAGE / file).read_text(encoding="utf-8").splitlines()) for file in TREES}
    assert {file: number for file, number in lines.items() if number > MAX_FILE_LINES} == {}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


MIGRATIONS = "store/migrations/versions/"
"""Alembic's form: ``upgrade`` is one list of tables, ``downgrade`` its end, and neither is called by us."""


def test_functions_fit_on_a_screen() -> None:
    lines = {
        f"{file}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for file, tree in TREES.items()
        for node in functions(tree)
        if not file.startswith(MIGRATIONS)
    }
    assert {name: number for name, number in lines.items() if number > MAX_FUNCTION_LINES} == {}


SAID_ELSEWHERE = {
    "store/tables.py: UtcDateTime.process_bind_param": "SQLAlchemy's own hook",
    "store/tables.py: UtcDateTime.process_result_value": "SQLAlchemy's own hook",
    **{
        f"store/records.py: ArtifactLike.{name}": "documented in core.artifact.Artifact"
        for name in ("kind", "digest", "facts", "made_by", "parents")
    },
}


def undocumented(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[str]:
    """Public classes, functions and methods without a docstring."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        is_overload = not isinstance(node, ast.ClassDef) and any("overload" in dotted(d) for d in node.decorator_list)
        if ast.get_docstring(node) is None and not is_overload:
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node, f"{prefix}{node.name}.")


def test_everything_public_is_documented() -> None:
    found = {
        f"{file}: {name}"
        for file, tree in TREES.items()
        if not file.startswith(MIGRATIONS)
        for name in undocumented(tree)
    }
    found |= {file for file, tree in TREES.items() if tree.body and ast.get_docstring(tree) is None}
    assert found - set(SAID_ELSEWHERE) == set()
    assert set(SAID_ELSEWHERE) <= found, "an exception that is no longer needed"


ROWS = [(table, kind) for table in get_args(wiring.Table) for kind in wiring.rows(table)]


@pytest.mark.parametrize(("table", "kind"), ROWS)
def test_every_row_of_the_wiring_loads(table: wiring.Table, kind: str) -> None:
    wire = wiring.wire(table, kind)
    assert callable(wiring.load(wire.make))
    assert wire.doc and not wire.doc.endswith("."), "a kind says what it is in a phrase"
    if wire.config is not None:
        config = wiring.load(wire.config)
        assert issubclass(config, Config) and config.__doc__
        named = config.model_fields.get("kind")
        assert named is None or table == "stage" or kind in get_args(named.annotation)
    if table == "stage":
        makes = wiring.load(wire.make).makes
        assert makes and all(isinstance(name, str) for name in (*makes, *makes.values()))


@pytest.mark.parametrize(("table", "kind"), ROWS)
def test_every_row_points_into_the_package(table: wiring.Table, kind: str) -> None:
    wire = wiring.wire(table, kind)
    for path in filter(None, (wire.make, wire.config)):
        module, _, name = path.partition(":")
        assert module.startswith("tunesmith.") and importlib.util.find_spec(module) is not None and name


def test_rows_are_unique_and_an_unknown_kind_gets_the_nearest() -> None:
    assert len(ROWS) == len(set(ROWS)) == len(wiring._ROWS)
    with pytest.raises(RecipeError, match="no optimizer of kind `adamv`") as caught:
        wiring.wire("optimizer", "adamv")
    assert caught.value.next == "did you mean `adam`?" or caught.value.next == "did you mean `adamw`?"


def test_rooms_are_empty_doors() -> None:
    """No room runs code when it is entered; only the package's own front door may."""
    doors = [file for file in TREES if file.endswith("/__init__.py") and file.count("/") >= 1]
    assert {file for file in doors if TREES[file].body[1:]} == set()
