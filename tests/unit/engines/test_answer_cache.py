"""Answers kept: found by their owner alone, bounded, and forgotten with time."""

from __future__ import annotations

from tunesmith.engines.answer_cache import AnswerCache


def test_an_answer_is_found_by_its_owner_model_and_text_alone() -> None:
    cache: AnswerCache[str] = AnswerCache()
    cache.put("one/a", "m1", "hello", "answer")
    assert cache.get("one/a", "m1", "hello") == "answer"
    others = [("one/b", "m1", "hello"), ("two/a", "m1", "hello"), ("one/a", "m2", "hello"), ("one/a", "m1", "hello ")]
    assert [cache.get(*one) for one in others] == [None] * 4
    assert (cache.num_hits, cache.num_misses) == (1, 4)


def test_no_text_is_kept() -> None:
    cache: AnswerCache[str] = AnswerCache()
    cache.put("one/a", "m1", "Ada Lovelace", "answer")
    assert "Ada" not in repr(vars(cache)) and "\ud800" not in repr(vars(cache))
    cache.put("one/a", "m1", "\ud800", "half a character")
    assert cache.get("one/a", "m1", "\ud800") == "half a character"


def test_one_owner_cannot_push_out_another_before_the_whole_is_full() -> None:
    cache: AnswerCache[int] = AnswerCache(max_per_owner=3, max_entries=5)
    cache.put("quiet", "m", "kept", 1)
    for at in range(10):
        cache.put("loud", "m", str(at), at)
    assert len(cache) == 4
    assert cache.get("quiet", "m", "kept") == 1
    assert [cache.get("loud", "m", str(at)) for at in (6, 7, 8, 9)] == [None, 7, 8, 9]
    cache.get("loud", "m", "7")
    cache.put("loud", "m", "new", 11)
    assert cache.get("loud", "m", "7") == 7 and cache.get("loud", "m", "8") is None, "the least recently used left"
    for at in range(4):
        cache.put("third", "m", str(at), at)
    assert len(cache) == 5


def test_answers_age_and_can_be_forgotten_at_once() -> None:
    now = [0.0]
    cache: AnswerCache[int] = AnswerCache(max_age_s=10, clock=lambda: now[0])
    cache.put("one", "m", "a", 1)
    now[0] = 10.0
    assert cache.get("one", "m", "a") == 1
    now[0] = 10.1
    assert cache.get("one", "m", "a") is None and len(cache) == 0
    cache.put("one", "m", "a", 1)
    cache.clear()
    assert cache.get("one", "m", "a") is None and len(cache) == 0
    nothing: AnswerCache[int] = AnswerCache(max_per_owner=0)
    nothing.put("one", "m", "a", 1)
    assert len(nothing) == 0
