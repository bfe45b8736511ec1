"""Expressions over columns in Python's notation: read as a tree, checked, turned into Polars; never run as code."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from tunesmith.core.errors import RecipeError

MAX_CHARS, MAX_NODES, MAX_DEPTH = 2000, 200, 24
Kind = Literal["text", "number", "truth", "missing"]
"""What a value is; ``missing`` is the literal null, which fits everywhere."""
LITERALS = {"null": None, "true": True, "false": False}
ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"}
COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
NODES = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Compare, ast.In,
    ast.NotIn, ast.IfExp, ast.Call, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List, *ARITHMETIC, *COMPARISONS,
)  # fmt: skip
ALLOWED = (
    "columns, numbers, texts, + - * / // %, == != < <= > >=, and, or, not, in [..], `a if condition else b`, functions"
)


@dataclass(frozen=True)
class Value:
    """A part of an expression: what it is, how it is computed and, for a literal, its value."""

    kind: Kind
    expr: pl.Expr
    literal: str | float | bool | None = None
    is_literal: bool = False


def syntax(source: str) -> ast.expr:
    """The tree of an expression whose form is allowed: size, depth, kinds of nodes, names of functions.

    Raises: RecipeError saying what is not understood.
    """
    from tunesmith.data.expressions.functions import FUNCTIONS

    if len(source) > MAX_CHARS:
        raise RecipeError("an expression is too long", seen=f"{len(source)} characters", allowed=f"{MAX_CHARS}")
    try:
        tree = ast.parse(source.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = getattr(error, "msg", None) or "it is nested too deeply"
        raise RecipeError(f"the expression cannot be read: {why}", seen=source, allowed=ALLOWED) from None
    level: list[ast.AST] = [tree]
    num_nodes, depth = 0, 0
    while level:
        num_nodes, depth = num_nodes + len(level), depth + 1
        if num_nodes > 3 * MAX_NODES or depth > MAX_DEPTH:
            raise RecipeError(
                "an expression is too large", seen=source[:200], next="derive a part of it as a column of its own first"
            )
        for node in level:
            if not isinstance(node, NODES):
                raise _not_understood(node, source)
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else None
                if name not in FUNCTIONS:
                    raise _unknown("function", name or ast.unparse(node.func), FUNCTIONS, source)
                if node.keywords:
                    raise RecipeError("functions take their values in order, without names", seen=ast.unparse(node))
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return tree.body


def columns_of(source: str) -> list[str]:
    """The columns that an expression names, in their order.

    Raises: RecipeError as `syntax` does.
    """
    found: dict[str, None] = {}
    tree = syntax(source)
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "col":
            names = [one.value for one in node.args if isinstance(one, ast.Constant)]
            found |= dict.fromkeys(str(name) for name in names)
        elif isinstance(node, ast.Name) and node.id not in LITERALS and id(node) not in functions:
            found[node.id] = None
    return list(found)


def translated(source: str, schema: Mapping[str, pl.DataType]) -> Value:
    """The expression for a frame with these columns.

    Raises: RecipeError naming the nearest column or function there is, or the part whose types do not fit.
    """
    return _Translation(source, schema).value(syntax(source))


class _Translation:
    """One expression against one schema."""

    def __init__(self, source: str, schema: Mapping[str, pl.DataType]) -> None:
        self.source = source
        self.schema = {name: dtype for name, dtype in schema.items() if not name.startswith("_")}

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name(id=name):
                return literal(LITERALS[name]) if name in LITERALS else self.column(name)
            case ast.Call():
                return self._call(node)
            case ast.BoolOp():
                parts = [self.truth(one) for one in node.values]
                whole = parts[0]
                for part in parts[1:]:
                    whole = whole & part if isinstance(node.op, ast.And) else whole | part
                return Value("truth", whole)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Value("truth", ~self.truth(operand))
            case ast.UnaryOp(operand=operand):
                negated = self.value(operand)
                if negated.is_literal and isinstance(negated.literal, int | float):
                    return literal(-negated.literal)
                return Value("number", -self.number(operand))
            case ast.BinOp():
                return self._arithmetic(node)
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp():
                return self._choice(node)
        raise _not_understood(node, self.source)

    def column(self, name: str) -> Value:
        """A column by its name."""
        if name not in self.schema:
            raise _unknown("column", name, self.schema, self.source)
        dtype = self.schema[name]
        if dtype == pl.Boolean():
            return Value("truth", pl.col(name))
        if dtype.is_numeric():
            return Value("number", pl.col(name))
        return Value("text", pl.col(name).cast(pl.String))

    def number(self, node: ast.expr) -> pl.Expr:
        """A part that must be a number."""
        return self.as_kind(node, "number", "write number(..) around a text that holds numbers")

    def truth(self, node: ast.expr) -> pl.Expr:
        """A part that must be true or false."""
        return self.as_kind(node, "truth", "compare it with something: `== ..`, `is_missing(..)`")

    def text(self, node: ast.expr) -> pl.Expr:
        """A part that must be text."""
        return self.as_kind(node, "text", "write text(..) around a number")

    def as_kind(self, node: ast.expr, kind: Kind, way_out: str) -> pl.Expr:
        """A part that must be of a kind.

        Raises: RecipeError with the part and what it is.
        """
        value = self.value(node)
        if value.kind not in (kind, "missing"):
            raise RecipeError(
                f"`{ast.unparse(node)}` is a {value.kind}, and a {kind} is needed there",
                seen=self.source,
                next=way_out,
            )
        return value.expr

    def _constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, str | bool | float | None) or (
            isinstance(node.value, int) and abs(node.value) < 1 << 63
        ):
            return literal(node.value)
        raise _not_understood(node, self.source)

    def _call(self, node: ast.Call) -> Value:
        from tunesmith.data.expressions.functions import FUNCTIONS, Arguments

        assert isinstance(node.func, ast.Name)
        function = FUNCTIONS[node.func.id]
        if not function.least <= len(node.args) <= function.most:
            raise RecipeError(
                f"`{node.func.id}` is given {len(node.args)} values", seen=ast.unparse(node), allowed=function.form
            )
        return function.make(Arguments(self, node))

    def _arithmetic(self, node: ast.BinOp) -> Value:
        sign = ARITHMETIC[type(node.op)]
        if sign == "+" and "text" in (self.value(node.left).kind, self.value(node.right).kind):
            raise RecipeError(
                "`+` adds numbers",
                seen=ast.unparse(node),
                next="join texts with concat(a, b); number(..) reads a number from a text",
            )
        left, right = self.number(node.left), self.number(node.right)
        match sign:
            case "+":
                return Value("number", left + right)
            case "-":
                return Value("number", left - right)
            case "*":
                return Value("number", left * right)
        # What is divided by zero is missing.
        divisor = pl.when(right != 0).then(right)
        made = {"/": left.cast(pl.Float64) / divisor, "//": left // divisor, "%": left % divisor}
        return Value("number", made[sign])

    def _compare(self, node: ast.Compare) -> Value:
        whole: pl.Expr | None = None
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            part = self._pair(node, left, operator, right)
            whole, left = (part if whole is None else whole & part), right
        assert whole is not None
        return Value("truth", whole)

    def _pair(self, node: ast.Compare, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> pl.Expr:
        if isinstance(operator, ast.In | ast.NotIn):
            return self._among(node, left, right, is_in=isinstance(operator, ast.In))
        one, other = self.value(left), self.value(right)
        if "missing" in (one.kind, other.kind):
            raise RecipeError(
                "nothing equals a missing value",
                seen=ast.unparse(node),
                next="write is_missing(..) or not is_missing(..)",
            )
        if one.kind != other.kind:
            raise RecipeError(
                f"a {one.kind} cannot be compared with a {other.kind}",
                seen=ast.unparse(node),
                next="number(..) reads a number from a text, text(..) writes one; texts stand in quotation marks",
            )
        a, b = one.expr, other.expr
        return {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[
            COMPARISONS[type(operator)]
        ]

    def _among(self, node: ast.Compare, left: ast.expr, right: ast.expr, *, is_in: bool) -> pl.Expr:
        if not isinstance(right, ast.List | ast.Tuple) or not right.elts:
            raise RecipeError(
                "`in` looks into a list of values",
                seen=ast.unparse(node),
                next="write `x in ['a', 'b']`; for a part of a text: contains(text, 'part')",
            )
        value, items = self.value(left), [self.value(one) for one in right.elts]
        if any(not item.is_literal or item.kind != value.kind for item in items):
            raise RecipeError(
                f"the list after `in` needs values that are a {value.kind}, as the value looked for is",
                seen=ast.unparse(node),
            )
        found = value.expr.is_in([item.literal for item in items])
        return found if is_in else ~found

    def _choice(self, node: ast.IfExp) -> Value:
        then, otherwise = self.value(node.body), self.value(node.orelse)
        kind = same_kind([then, otherwise], ast.unparse(node))
        made = pl.when(self.truth(node.test).fill_null(False)).then(then.expr).otherwise(otherwise.expr)
        return Value(kind, made)


def literal(value: str | float | bool | None) -> Value:
    """A literal as a value."""
    if value is None:
        return Value("missing", pl.lit(None), None, True)
    kind: Kind = "truth" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
    return Value(kind, pl.lit(value), value, True)


def same_kind(values: list[Value], seen: str) -> Kind:
    """The kind that all values share, missing ones aside.

    Raises: RecipeError when they differ.
    """
    kinds = list(dict.fromkeys(value.kind for value in values if value.kind != "missing"))
    if len(kinds) > 1:
        raise RecipeError(
            f"one value cannot be a {kinds[0]} in some rows and a {kinds[1]} in others",
            seen=seen,
            next="text(..) writes a number as text, number(..) reads it from one",
        )
    return kinds[0] if kinds else "missing"


def _unknown(what: str, name: str, known: Mapping[str, object], source: str) -> RecipeError:
    near = difflib.get_close_matches(name, known, n=1)
    way_out = f"did you mean `{near[0]}`?" if near else None
    if way_out is None and what == "column":
        way_out = f"texts stand in quotation marks: '{name}'; map columns under the source's `columns`"
    return RecipeError(
        f"an expression names the {what} `{name}`, which is not there",
        seen=source,
        allowed=", ".join(sorted(known)),
        next=way_out,
    )


def _not_understood(node: ast.AST, source: str) -> RecipeError:
    part = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
    return RecipeError(f"an expression cannot hold `{part}`", seen=source, allowed=ALLOWED)
