"""The nouns at the bottom: digests, errors, events and the wiring table."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core import digests, errors, events, machine, wiring
from tunesmith.core.errors import Denied, Interrupted, RecipeError, StepError, TunesmithError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_a_digest_does_not_hang_on_the_order_of_keys(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert digests.of_value(turned) == digests.of_value(value)
    assert json.loads(digests.canonical(value)) == value


def test_digests_by_hand(tmp_path: Path) -> None:
    assert digests.of_value({"b": [1, "ü"], "a": None}) == hashlib.sha256('{"a":null,"b":[1,"ü"]}'.encode()).hexdigest()
    with pytest.raises(ValueError):
        digests.of_value({"a": math.nan})
    (tmp_path / "sub").mkdir()
    data = b"x" * (digests.CHUNK_BYTES + 1)
    (tmp_path / "sub" / "b").write_bytes(data)
    (tmp_path / "a").write_bytes(b"")
    expected = {"a": hashlib.sha256(b"").hexdigest(), "sub/b": hashlib.sha256(data).hexdigest()}
    assert digests.of_folder(tmp_path) == expected
    assert list(digests.of_folder(tmp_path)) == ["a", "sub/b"]
    renamed = {("c" if name == "a" else name): digest for name, digest in expected.items()}
    assert digests.of_manifest(renamed) != digests.of_manifest(expected)


def test_an_error_says_what_was_seen_what_is_allowed_and_what_next() -> None:
    error = RecipeError("the batch is wrong", seen=0, allowed="1 or more", next="write `batch: 32`")
    assert str(error).splitlines() == [
        "the batch is wrong",
        "  seen:    0",
        "  allowed: 1 or more",
        "  next:    write `batch: 32`",
    ]
    assert str(StepError("only this")) == "only this"


def test_errors_cross_a_process_boundary_with_their_kind_and_exit_code() -> None:
    codes = {"RecipeError": 2, "Denied": 3, "Interrupted": 130}
    for kind in (RecipeError, Denied, Interrupted, StepError, errors.DataError, errors.ModelError, errors.StoreError):
        back = errors.from_dict(json.loads(json.dumps(kind("what", seen="s", allowed="a", next="n").to_dict())))
        assert type(back) is kind
        assert (back.what, back.seen, back.allowed, back.next) == ("what", "s", "a", "n")
        assert back.exit_code == codes.get(kind.__name__, 1)
    assert type(errors.from_dict({"error": "SystemExit", "what": "x"})) is StepError
    assert isinstance(back, TunesmithError)


def test_events_are_read_as_they_come_and_half_a_line_is_left(tmp_path: Path) -> None:
    heard: list[events.Event] = []
    path = tmp_path / "more" / "events.jsonl"
    log = events.EventLog(path, heard.append)
    log.emit("progress", done=1, total=2)
    first, offset = events.read(path)
    assert [(one["event"], one["done"]) for one in first] == [("progress", 1)] and heard == first
    log.emit("warning", message="ü", where=Path("a"))
    log.close()
    with path.open("ab") as stream:
        stream.write(b'{"event": "metr')
    second, offset = events.read(path, offset)
    assert [one["message"] for one in second] == ["ü"]
    with path.open("ab") as stream:
        stream.write(b'{"event": "metric"}\n')  # a killed writer's half line in front of the next one's first
        stream.write(b'{"event": "metric", "step": 3}\n')
    third, _ = events.read(path, offset)
    assert [one.get("step") for one in third] == [3]
    assert events.read(tmp_path / "none") == ([], 0)


def test_added_rows_go_when_their_context_does_and_reach_children() -> None:
    extra = wiring.Wire("method", "mine", "somewhere:Mine", is_heavy=True, version=3)
    with wiring.added(extra):
        assert wiring.wire("method", "mine") == extra
        dumped = json.loads(json.dumps(wiring.dump_added()))
    assert dumped == [wiring.asdict(extra)]
    assert "mine" not in wiring.rows("method")
    with pytest.raises(RecipeError, match="no method of kind `mine`") as caught:
        wiring.wire("method", "mine")
    assert "classify" in str(caught.value.allowed)
    with pytest.raises(ZeroDivisionError), wiring.added(extra):
        _ = 1 / 0
    assert "mine" not in wiring.rows("method")


def test_the_machine_is_described_in_json() -> None:
    assert json.loads(json.dumps(machine.hardware())) == machine.hardware()
    assert machine.num_cores() >= 1
    assert 0 < machine.available_bytes() <= machine.total_bytes()
    assert machine.peak_bytes() > 1_000_000
    assert {"tunesmith", "torch", "polars"} <= set(machine.versions())
