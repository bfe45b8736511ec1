"""YAML 1.2: what scalars mean, what is refused, and where things stand."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import yaml12, yaml_write


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("2e-4", 2e-4),
        ("1e3", 1000.0),
        ("-1.5E+2", -150.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("012", 12),
        ("+7", 7),
        ("0o14", 12),
        ("0x1F", 31),
        ("-.inf", -math.inf),
        ("~", None),
        ("null", None),
        ("", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("tRue", "tRue"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-31", "2024-01-31"),
        ("0b11", "0b11"),
        ("'12'", "12"),
        ('"null"', "null"),
        ("=", "="),
    ],
)
def test_scalars_mean_what_the_core_schema_says(text: str, meaning: Any) -> None:
    found = yaml12.loads(f"key: {text}\n", "r.yaml")["key"]
    assert found == meaning
    assert type(found) is type(meaning)


def test_nan_is_a_number() -> None:
    assert math.isnan(yaml12.loads("key: .nan", "r.yaml")["key"])


def test_keys_are_the_text_they_were_written_as() -> None:
    assert yaml12.loads("{0: a, no: b, true: c, 012: d}", "r.yaml") == {"0": "a", "no": "b", "true": "c", "012": "d"}


def test_the_merge_key_is_a_key_like_any_other() -> None:
    assert yaml12.loads("a: &x {b: 1}\n<<: *x\n", "r.yaml") == {"a": {"b": 1}, "<<": {"b": 1}}


def test_an_alias_stands_for_its_value() -> None:
    assert yaml12.loads("a: &x [1, 2]\nb: *x\n", "r.yaml") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", "r.yaml:3:1", "`a` stands twice"),
        ("x:\n  - {k: 1, k: 2}\n", "r.yaml:2:12", "`k` stands twice"),
        ("a: !!python/object/apply:os.system [ls]\n", "r.yaml:1:4", "tags are not read"),
        ("a: !env X\n", "r.yaml:1:4", "tags are not read"),
        ("a: &x [*x]\n", "r.yaml:1:4", "part of"),
        ("- 1\n", "r.yaml:1:1", "mapping"),
        ("a: [1, 2\n", "r.yaml:2:1", "expected ',' or ']'"),
        ("a:\n\t- b\n", "r.yaml:2:1", "cannot start any token"),
        ("ok: 1\nb: \x00\n", "r.yaml:2:4", "no text file"),
        ("a: b: c\n", "r.yaml:1:5", "mapping values"),
        ("? [a]\n: b\n", "r.yaml:1:3", "a key is a name"),
        ("a: 1\n?\n: b\n", "r.yaml:2:2", "a key is missing"),
        ("a: *nope\n", "r.yaml:1:4", "undefined alias"),
        ("---\na: 1\n---\nb: 2\n", "r.yaml:3:1", "single document"),
        ("a: " + "[" * 60 + "]" * 60, "r.yaml:1:53", "nested too deep"),
        ("a: " + "9" * 5000, "r.yaml:1:4", "too many digits"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, where: str, what: str) -> None:
    with pytest.raises(RecipeError) as caught:
        yaml12.loads(text, "r.yaml")
    assert caught.value.what.startswith(f"{where}: ")
    assert what in caught.value.what
    assert caught.value.exit_code == 2


def test_the_line_is_shown_and_a_long_one_is_shortened() -> None:
    with pytest.raises(RecipeError) as caught:
        yaml12.loads("first: 1\nsecond: [1, {]\n", "r.yaml")
    assert caught.value.seen == "second: [1, {]"
    with pytest.raises(RecipeError) as caught:
        yaml12.loads("a: " + "[" * 5000, "r.yaml")
    assert len(caught.value.seen) < 200


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_recipe_says_what_to_write(text: str) -> None:
    with pytest.raises(RecipeError, match="empty"):
        yaml12.loads(text, "r.yaml")


def nine_levels(width: int, levels: int) -> str:
    """A few lines that stand for width ** levels values."""
    lines = [f"a0: &a0 [{','.join('x' * width)}]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(("width", "levels"), [(9, 8), (2, 26), (5, 11), (50, 2)])
def test_an_alias_bomb_is_refused_before_it_is_written_out(width: int, levels: int) -> None:
    text = nine_levels(width, levels)
    if width == 50:  # fifty aliases are allowed, and what they stand for is counted
        assert len(yaml12.loads(text, "r.yaml")["a1"]) == 50
        return
    started = time.process_time()
    with pytest.raises(RecipeError, match=r"too many (aliases|values)"):
        yaml12.loads(text, "r.yaml")
    # Written out, the smallest of these has millions of values: seconds and gigabytes, not this.
    assert time.process_time() - started < 5


def test_too_long_a_text_is_refused_unread() -> None:
    with pytest.raises(RecipeError, match="too long"):
        yaml12.loads("a" * (yaml12.MAX_CHARS + 1), "r.yaml")


def test_every_key_and_item_has_a_place() -> None:
    document = yaml12.read("a: 1\nb:\n  - c: 2\n    d: [3, 4]\n", "r.yaml")
    assert {path: place.where for path, place in document.places.items()} == {
        ("a",): "r.yaml:1:1",
        ("b",): "r.yaml:2:1",
        ("b", 0): "r.yaml:3:5",
        ("b", 0, "c"): "r.yaml:3:5",
        ("b", 0, "d"): "r.yaml:4:5",
        ("b", 0, "d", 0): "r.yaml:4:9",
        ("b", 0, "d", 1): "r.yaml:4:12",
    }


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["no", "1e3", "0o7", "~", ".5", "-", "a: b", "a #b", "[x", "<<", ".", "..", "true", "+1", "é"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(st.text(), values, min_size=1, max_size=5))
def test_what_is_written_is_read_back(data: dict[str, Any]) -> None:
    # Lone surrogates are no text that UTF-8 can hold; hypothesis leaves them out of st.text() by default.
    # By repr, because 1 == 1.0 == True.
    assert repr(yaml12.loads(yaml_write.block(data), "r.yaml")) == repr(data)
    assert repr(yaml12.value(yaml_write.flow(data), "r.yaml")) == repr(data)


def test_written_recipes_are_readable() -> None:
    data = {"name": "a", "data": {"sources": [{"kind": "csv", "path": "x.csv", "columns": {}}]}, "betas": [0.9, 1e-05]}
    assert yaml_write.block(data) == (
        "name: a\ndata:\n  sources:\n    - kind: csv\n      path: x.csv\n      columns: {}\nbetas: [0.9, 1e-05]\n"
    )
