"""The verdict's words for every outcome, and the advice drawn from the facts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.reporting.report_views import classify_view, denied, regress_view, with_comparison

from tunesmith.evaluation.config import GateRule
from tunesmith.reporting.sections.advice import Advice, advice_of
from tunesmith.reporting.sections.examples import Cases
from tunesmith.reporting.sections.verdict import on_primary, verdict_of
from tunesmith.reporting.view import RunView


def advice(view: RunView) -> list[Advice]:
    return advice_of(view, Cases(view))


def titled(view: RunView, words: str) -> Advice | None:
    return next((one for one in advice(view) if words in one.title), None)


def test_better_and_released(tmp_path: Path) -> None:
    verdict = verdict_of(classify_view(tmp_path))
    assert (verdict.kind, verdict.headline) == ("better", "Better than TF-IDF and majority")
    assert verdict.release == "Released as desk@production, version 3"
    assert verdict.sentences[-1] == "All 2 checks of the gate hold."
    assert verdict.failed == ()


def test_better_but_denied_by_a_limit(tmp_path: Path) -> None:
    rules = {"f1_macro": GateRule(better_than=["majority", "tfidf"]), "accuracy": GateRule(at_least=0.99)}
    verdict = verdict_of(classify_view(tmp_path, gate=rules))
    assert verdict.kind == "better"
    assert verdict.release_kind == "denied"
    assert len(verdict.failed) == 1
    assert "must be at least 0.99" in verdict.failed[0]


def test_not_shown_names_against_what(tmp_path: Path) -> None:
    verdict = verdict_of(classify_view(tmp_path, right={"tfidf": 0.88}))
    assert (verdict.kind, verdict.headline) == ("not-shown", "Not shown to be better than TF-IDF")
    assert verdict.release_kind == "denied"


def test_a_comparison_that_the_gate_did_not_ask_for_is_told_too(tmp_path: Path) -> None:
    rules = {"f1_macro": GateRule(better_than=["majority"])}
    verdict = verdict_of(classify_view(tmp_path, right={"tfidf": 0.88}, gate=rules))
    assert verdict.headline == "Better than majority"
    assert any(sentence.startswith("No difference is shown against TF-IDF") for sentence in verdict.sentences)


def test_an_evaluation_without_release_says_so(tmp_path: Path) -> None:
    verdict = verdict_of(replace(classify_view(tmp_path), reference=None, version=None))
    assert verdict.release_kind == "open"


def test_lower_is_better_for_errors(tmp_path: Path) -> None:
    view = regress_view(tmp_path)
    verdict = verdict_of(view)
    assert verdict.headline == "Better than TF-IDF and mean"
    assert verdict.direction == "lower is better"
    assert [one["against"] for one in on_primary(view)] == ["tfidf", "mean"]


def test_rows_needed_grow_with_the_square(tmp_path: Path) -> None:
    """Half the difference that 200 rows can show takes four times as many rows."""
    view = classify_view(tmp_path)
    changed = with_comparison(
        view, against="base_centroid", verdict="not shown", difference=0.03, smallest_detectable=0.06, num_rows=200
    )
    found = titled(changed, "Collect more test rows to settle the question against base_centroid")
    assert found is not None
    assert "about 800 test rows" in found.why


def test_rows_are_no_help_where_the_difference_points_the_wrong_way(tmp_path: Path) -> None:
    view = with_comparison(classify_view(tmp_path), verdict="not shown", difference=-0.01)
    assert titled(view, "Nothing speaks for this model over") is not None
    assert titled(view, "Collect more") is None


def test_a_strong_untrained_model_asks_for_the_head_and_the_other_way_round(tmp_path: Path) -> None:
    view = with_comparison(classify_view(tmp_path), against="base_centroid", verdict="not shown", difference=0.01)
    found = titled(view, "Train the head alone")
    assert found is not None
    assert found.command == "tunesmith run recipe.yaml --set train.trainable=head"
    head = replace(view, model={**view.model, "trainable": "head"})
    other = titled(head, "Train all weights")
    assert other is not None
    assert other.command.endswith("train.trainable=full")


def test_released_models_are_used_and_denied_ones_looked_at(tmp_path: Path) -> None:
    view = classify_view(tmp_path)
    assert advice(view)[0].command == "tunesmith predict desk@production in.csv --out out.csv"
    found = titled(denied(view), "Look at its answers")
    assert found is not None
    assert found.command == "tunesmith predict run:desk-0101-1200-ab12 in.csv --out out.csv"


def test_small_classes_are_counted_and_named(tmp_path: Path) -> None:
    view = classify_view(tmp_path)
    counts = {"train": {"class_00": 3, "class_01": 400, "class_02": 400, "class_03": 400}}
    found = titled(replace(view, splits={**view.splits, "label_counts": counts}), "Label more rows of 1 small class")
    assert found is not None
    assert "`class_00` (3)" in found.why


def test_quarantined_rows_name_the_most_frequent_reason(tmp_path: Path) -> None:
    view = classify_view(tmp_path)
    rows = {"read": 100, "kept": 80, "removed": 0, "quarantined": 20}
    splits = {**view.splits, "rows": rows, "quarantined": {"label is missing": 15, "too short": 5}}
    found = titled(replace(view, splits=splits), "Win back 20 quarantined rows")
    assert found is not None
    assert "20 % of what was read; most often “label is missing” (15)." in found.why


def test_cut_texts_ask_for_more_tokens_up_to_what_the_base_reads(tmp_path: Path) -> None:
    view = classify_view(tmp_path)
    cut = replace(view, report={**view.report, "truncated_rows": 4})
    found = titled(cut, "4 rows are longer than the 128 tokens")
    assert found is not None
    assert found.command.endswith("train.max_tokens=256")
    full = replace(cut, base={**view.base, "max_tokens": 128})
    other = titled(full, "4 rows are longer")
    assert other is not None
    assert other.command == ""


def test_training_that_was_still_improving_asks_for_more(tmp_path: Path) -> None:
    view = classify_view(tmp_path)
    assert titled(view, "Train longer") is None
    found = titled(replace(view, model={**view.model, "best_step": 40}), "Train longer")
    assert found is not None
    assert found.command.endswith("train.epochs=8")


def test_sure_mistakes_and_confusions_are_counted(tmp_path: Path) -> None:
    view = classify_view(tmp_path, right={"model": 0.6})
    cases = Cases(view)
    wrong = cases.frame.filter(~cases.frame["is_right"] & (cases.frame["probability"] >= 0.9)).height
    assert wrong > 0
    assert titled(view, f"Check the labels of {wrong} test rows") is not None
    labels, counts = view.report["confusion"]["labels"], view.report["confusion"]["counts"]
    worst = max((num, labels[r], labels[c]) for r, row in enumerate(counts) for c, num in enumerate(row) if r != c)
    found = next(one for one in advice(view) if one.title.startswith("Look at `"))
    assert f"{worst[0]} of 50 test rows" in found.why


def test_bands_count_rows_and_right_ones(tmp_path: Path) -> None:
    cases = Cases(classify_view(tmp_path))
    bands = cases.bands()
    assert (bands[0].rows, bands[0].share) == (200, 1.0)
    sure = cases.frame.filter(cases.frame["probability"] >= 0.9)
    assert bands[4].rows == sure.height
    assert bands[4].right == sure["is_right"].sum() / sure.height


def test_wrong_examples_stand_in_order_of_certainty(tmp_path: Path) -> None:
    groups = Cases(classify_view(tmp_path)).groups()
    sure = [case.probability or 0.0 for case in groups[0].cases]
    assert groups[0].kind == "wrong"
    assert sure == sorted(sure, reverse=True)
    assert all(case.true != case.predicted for case in groups[0].cases)
    assert all(case.is_reference_right is False for case in groups[1].cases)
