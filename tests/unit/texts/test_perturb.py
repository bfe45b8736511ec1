"""Perturbations: what each changes, what it never does, and that equal arguments give equal texts."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.errors import RecipeError
from tunesmith.texts.lookalikes import LOOKALIKES
from tunesmith.texts.perturb import KINDS, perturb

TEXT = "I can't cancel my order 4711, please help!"
BACK = {like: letter for letter, like in LOOKALIKES.items()}
strengths = st.floats(0.01, 1)


def done(kind: str, text: str, seed: int = 0, strength: float = 0.1) -> str:
    return perturb(kind, text, random.Random(seed), strength)


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=60), seed=st.integers(0, 2**32), strength=strengths)
def test_equal_arguments_give_equal_unblank_texts(kind: str, text: str, seed: int, strength: float) -> None:
    changed = done(kind, text, seed, strength)
    assert changed == done(kind, text, seed, strength)
    assert bool(changed.strip()) == bool(text.strip())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_changes_a_plain_sentence(kind: str) -> None:
    assert any(done(kind, TEXT, seed) != TEXT for seed in range(5))


@given(seed=st.integers(0, 10_000), strength=strengths)
def test_typos_touch_the_share_of_words_and_no_number(seed: int, strength: float) -> None:
    before, after = TEXT.split(), done("typos", TEXT, seed, strength).split()
    assert len(before) == len(after) and after[5] == "4711," and after[0] == "I"
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == max(1, round(6 * strength))
    assert all(abs(len(a) - len(b)) <= 1 for a, b in changed)


def test_all_four_typing_errors_are_made() -> None:
    seen = {done("typos", "card", seed, 1) for seed in range(200)}
    assert {"crd", "caard", "acrd", "csrd"} <= seen
    assert "cprd" not in seen, "p is no neighbour of a"


@given(seed=st.integers(0, 10_000), strength=strengths)
def test_case_changes_nothing_but_case(seed: int, strength: float) -> None:
    assert done("case", TEXT, seed, strength).lower() == TEXT.lower()


@given(seed=st.integers(0, 10_000), strength=strengths)
def test_whitespace_changes_nothing_but_gaps(seed: int, strength: float) -> None:
    changed = done("whitespace", TEXT, seed, strength)
    assert "".join(changed.split()) == "".join(TEXT.split()) and changed != TEXT


@pytest.mark.parametrize(
    ("strength", "left"), [(0.01, "one two three four"), (0.4, "one two three"), (0.99, "one"), (1, "one")]
)
def test_truncation_cuts_the_last_words(strength: float, left: str) -> None:
    assert done("truncation", "one two three four five", 0, strength) == left
    assert done("truncation", "one", 0, strength) == "one"


@given(seed=st.integers(0, 10_000), strength=strengths)
def test_lookalikes_read_back_to_the_text(seed: int, strength: float) -> None:
    changed = done("lookalikes", TEXT, seed, strength)
    assert "".join(BACK.get(char, char) for char in changed) == TEXT
    num = sum(a != b for a, b in zip(changed, TEXT, strict=True))
    assert num == max(1, round(sum(char in LOOKALIKES for char in TEXT) * strength))


def test_lookalikes_are_other_letters_of_the_same_case() -> None:
    for letter, like in LOOKALIKES.items():
        assert unicodedata.normalize("NFKC", like) != letter and letter.isupper() == like.isupper()
        assert unicodedata.name(like).split()[0] in ("CYRILLIC", "GREEK")


def test_punctuation_goes_and_a_text_of_nothing_else_stays() -> None:
    assert done("punctuation", TEXT) == "I cant cancel my order 4711 please help"
    assert done("punctuation", "?!") == "?!"


def test_an_unknown_kind_and_a_strength_that_is_no_share_are_refused() -> None:
    with pytest.raises(RecipeError, match="no perturbation `typo`"):
        done("typo", TEXT)
    for strength in (0, -0.1, 1.5):
        with pytest.raises(RecipeError, match="strength is a share"):
            done("case", TEXT, 0, strength)
