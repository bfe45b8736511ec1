"""Personal data inside JSON: found as in any text, and what is written back is JSON of the same shape."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.governance.privacy import nested
from tunesmith.governance.privacy.config import PrivacyConfig
from tunesmith.governance.privacy.treat import Treatment

REDACT = Treatment(PrivacyConfig(on_pii="redact"), b"k" * 32)
PSEUDONYMISE = Treatment(PrivacyConfig(on_pii="pseudonymise"), b"k" * 32)
CALL = {"name": "book", "arguments": json.dumps({"note": "mail\nada@byron.org", "seats": 2})}
MESSAGES = [
    {"role": "user", "content": "Reach me at\nada@byron.org or\n+44 20 7946 0958, \"please\""},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": CALL}], "weight": 1},
    {"role": "tool", "content": json.dumps({"card": 4111111111111111, "ok": True, "seats": 2})},
]  # fmt: skip


def test_every_text_inside_is_treated_and_the_shape_stays() -> None:
    cells = pl.Series("messages", [json.dumps(MESSAGES), None, "[1] write to ada@byron.org", "[]", '["fine"]'])
    treated = nested.column(REDACT, cells, "messages")
    after = json.loads(treated.texts[0])
    assert after[0] == {"role": "user", "content": 'Reach me at\n[EMAIL] or\n[PHONE], "please"'}
    call = after[1]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == {"note": "mail\n[EMAIL]", "seats": 2}
    assert after[1] | {"tool_calls": []} == MESSAGES[1] | {"tool_calls": []}
    assert json.loads(after[2]["content"]) == {"card": "[CREDIT_CARD]", "ok": True, "seats": 2}
    assert treated.texts.to_list()[1:] == [None, "[1] write to [EMAIL]", "[]", '["fine"]']
    assert treated.changed == {0, 2}
    found = [(row, one.entity) for row, one, _ in treated.found]
    assert sorted(found) == [(0, "CREDIT_CARD"), (0, "EMAIL"), (0, "EMAIL"), (0, "PHONE"), (2, "EMAIL")]


def test_pseudonyms_are_one_for_one_value_wherever_it_stands() -> None:
    cells = pl.Series([json.dumps(MESSAGES), "write to ada@byron.org"])
    treated = nested.column(PSEUDONYMISE, cells)
    (token,) = [token for token, (entity, _) in treated.sealed.items() if entity == "EMAIL"]
    assert treated.texts[0].count(token) == 2 and token in treated.texts[1]


def test_cells_without_personal_data_stay_byte_for_byte() -> None:
    cell = '[ {"content" :  "caf\\u00e9 \\n 12", "n": 1e3} ]'
    treated = nested.column(REDACT, pl.Series([cell]))
    assert treated.texts.to_list() == [cell] and treated.found == [] and treated.changed == set()


def test_a_key_says_what_its_value_is() -> None:
    cells = pl.Series([json.dumps({"date_of_birth": "1990-04-05"}), json.dumps({"departure": "1990-04-05"})])
    first, second = nested.column(REDACT, cells, "row").texts
    assert (json.loads(first), second) == ({"date_of_birth": "[DATE_OF_BIRTH]"}, cells[1])


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=4))
@settings(max_examples=25, deadline=None)
def test_any_json_is_json_of_the_same_shape_afterwards(values: list[Any]) -> None:
    cells = [json.dumps([value, "ada@byron.org"]) for value in values]
    treated = nested.column(REDACT, pl.Series(cells, dtype=pl.String), "cells")
    for before, after in zip(cells, treated.texts, strict=True):
        first, second = json.loads(after)
        assert second == "[EMAIL]"
        assert type(first) is type(json.loads(before)[0]) or isinstance(first, str)


@pytest.mark.parametrize("cell", ["[" * 5000, "{not json}", "[EMAIL] is mine", '{"a": }'])
def test_what_only_looks_like_json_is_a_text(cell: str) -> None:
    assert nested.column(REDACT, pl.Series([cell])).texts.to_list() == REDACT.column(pl.Series([cell])).texts.to_list()
