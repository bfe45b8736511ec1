"""Curves, neighbours, influence and top words, worked out by hand or by autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.core.errors import Interrupted
from tunesmith.explanation.attribution import Attribution, Floats, target_places
from tunesmith.explanation.curves import PLACES, area, curve_facts, row_curves
from tunesmith.explanation.given_labels import answered_rows, explained_places
from tunesmith.explanation.influence import last_layer, pushes, self_influence, targets_of, wrong_direction
from tunesmith.explanation.neighbours import disagreement, nearest
from tunesmith.explanation.top_words import top_words
from tunesmith.explanation.words import Word, spans_of
from tunesmith.models.head_shape import HeadShape
from tunesmith.models.heads import Head
from tunesmith.models.manifest import BaseReference, Decision, LengthPolicy, ModelManifest, NetworkShape


def attribution(text: str, values: Sequence[float], target: str = "a", method: Any = "ig") -> Attribution:
    """An attribution of a text's words."""
    words = tuple(Word(text[s:e], s, e, v) for (s, e), v in zip(spans_of(text), values, strict=True))
    return Attribution(method, target, text, words, "probability", 1.0, 0.0)


def share_of_good(texts: Sequence[str]) -> Floats:
    """A model that answers 1 where `good` stands in a text, and 0 elsewhere."""
    return np.array([[float("good" in text.split())] for text in texts])


def test_curves_by_hand() -> None:
    text = "good a b c d e f g h i"  # ten words: each tenth is one
    knows = attribution(text, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    mistaken = attribution(text, [0, 8, 7, 6, 5, 4, 3, 2, 1, 0.5], method="occlusion")
    rows = [{"ig": knows, "occlusion": mistaken}]
    [found] = row_curves(share_of_good, rows, [0], random_orders=2, seed=0)
    assert found.deletion["ig"].tolist() == [1.0] + [0.0] * PLACES
    assert found.insertion["ig"].tolist() == [0.0] + [1.0] * PLACES
    assert found.deletion["occlusion"].tolist() == [1.0] * PLACES + [0.0]
    assert area(found.deletion["ig"]) == pytest.approx(0.05)
    assert area(found.deletion["occlusion"]) == pytest.approx(0.95)
    assert area(np.linspace(0, 1, 11)) == pytest.approx(0.5)
    again = row_curves(share_of_good, rows, [0], random_orders=2, seed=0)[0]
    assert again.deletion["random"].tolist() == found.deletion["random"].tolist()


def test_an_order_that_knows_beats_chance_and_one_that_does_not_is_not_shown_to() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(30):
        words = rng.permutation(["good", *"abcdefgh"]).tolist()
        text = " ".join(words)
        knows = attribution(text, [float(word == "good") for word in words])
        guesses = attribution(text, rng.normal(size=len(words)).tolist(), method="occlusion")
        rows.append({"ig": knows, "occlusion": guesses})
    made = row_curves(share_of_good, rows, [0] * 30, random_orders=3, seed=0)
    facts = curve_facts(made, confidence=0.95, num_samples=500, seed=0)["orders"]
    assert facts["ig"]["deletion_gain"]["verdict"] == facts["ig"]["insertion_gain"]["verdict"] == "better"
    assert facts["occlusion"]["deletion_gain"]["verdict"] == "not shown"
    gain = facts["ig"]["deletion_gain"]
    assert gain["value"] == pytest.approx(facts["random"]["deletion_area"] - facts["ig"]["deletion_area"])
    assert gain["low"] < gain["value"] < gain["high"]
    assert curve_facts([], confidence=0.95, num_samples=500, seed=0) == {"num_rows": 0}


def test_the_curves_tell_how_far_they_are_and_can_be_stopped() -> None:
    rows = [{"ig": attribution("good a b c", [3, 2, 1, 0])}] * 20
    told: list[int] = []
    made = row_curves(share_of_good, rows, [0] * 20, random_orders=1, seed=0, told=told.append)
    assert (len(made), told) == (20, [0, 8, 16])

    def stop(done: int) -> None:
        if done:
            raise Interrupted("stop")

    with pytest.raises(Interrupted):
        row_curves(share_of_good, rows, [0] * 20, random_orders=1, seed=0, told=stop)


def test_nearest_by_hand() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [-1.0, 0.0], [0.0, 0.0]])
    places, cosines = nearest(np.array([[5.0, 0.0]]), vectors, 3)
    assert places.tolist() == [[0, 2, 1]]
    np.testing.assert_allclose(cosines, [[1.0, 0.5**0.5, 0.0]], atol=1e-6)
    own, _ = nearest(vectors[:2], vectors, 2, [0, 1])
    assert own.tolist() == [[2, 1], [2, 0]]
    assert nearest(vectors, vectors, 99, range(5))[0].shape == (5, 4)


def test_disagreement_by_hand() -> None:
    places = np.array([[1, 2]])
    assert disagreement("classify", ["a", "a", "b"], [0], places) == [0.5]
    assert disagreement("tag", [["a"], ["a", "b"], []], [0], places) == [pytest.approx((0.5 + 1.0) / 2)]
    values = [1.0, 2.0, 6.0]
    assert disagreement("regress", values, [0], places) == [pytest.approx(3.0 / np.std(values))]


def manifest(task: Any, num: int) -> ModelManifest:
    more: dict[str, Any] = {"labels": tuple(f"l{place}" for place in range(num))}
    if task == "regress":
        more = {"targets": {f"t{place}": {"mean": 1.0, "std": 2.0} for place in range(num)}}
    return ModelManifest.model_validate(
        {
            "task": task,
            **more,
            "base": BaseReference(name="x", digest="0"),
            "trainable": "head",
            "network": NetworkShape(pooling="mean", hidden=4, is_normalized=True),
            "length": LengthPolicy(max_tokens=8),
        }
    )


LABELS: dict[Any, list[Any]] = {
    "classify": ["l0", "l2", "l1", "l1"],
    "tag": [["l0"], [], ["l1", "l2"], ["l2"]],
    "regress": [[1.0, 2.0, 0.0], [3.0, 1.0, 1.0], [0.0, 0.0, 5.0], [1.0, 1.0, 1.0]],
}


@pytest.mark.parametrize("task", ["classify", "tag", "regress"])
@pytest.mark.parametrize("shape", [HeadShape(), HeadShape(layers=(5,))])
def test_influence_is_the_gradients_dot_product(task: Any, shape: HeadShape) -> None:
    torch.manual_seed(0)
    head = Head(4, 3, 0.1, True, shape).eval()
    torch.nn.init.normal_(head.linear.weight)
    known = manifest(task, 3)
    features = torch.randn(6, 4)
    train, labels = features[:4], LABELS[task]
    targets = targets_of(known, labels)
    seen = last_layer(known, head, train.numpy())
    asked = last_layer(known, head, features[4:].numpy())
    direction = wrong_direction(
        task, np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), np.array([[1.0, 0, 0], [0, 0, 1.0]])
    )
    found, own = pushes(asked.inputs_ND, direction, seen, targets), self_influence(seen, targets)

    def gradient(value: torch.Tensor) -> torch.Tensor:
        return torch.cat([one.ravel() for one in torch.autograd.grad(value, [head.linear.weight, head.linear.bias])])

    for row in range(4):
        output, wanted = head(train[row : row + 1])[0], torch.from_numpy(targets[row]).float()
        loss = {
            "classify": -(wanted * output.log_softmax(-1)).sum(),
            "tag": torch.nn.functional.binary_cross_entropy_with_logits(output, wanted, reduction="sum"),
            "regress": 0.5 * ((output - wanted) ** 2).sum(),
        }[task]
        down = -gradient(loss)
        assert own[row] == pytest.approx(float(down @ down), rel=1e-4)
        for text in range(2):
            up = gradient((head(features[4 + text : 5 + text])[0] * torch.from_numpy(direction[text]).float()).sum())
            assert found[text, row] == pytest.approx(float(up @ down), rel=1e-3, abs=1e-5)


def test_answers_that_are_off() -> None:
    values = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]])
    found = answered_rows(manifest("classify", 3), values, ["l0", "l2"])
    assert (found.predicted, found.is_off) == (["l0", "l1"], [False, True])
    tags = answered_rows(manifest("tag", 3), np.array([[0.7, 0.6, 0.1], [0.2, 0.3, 0.1]]), [["l0", "l1"], ["l2"]])
    assert (tags.predicted, tags.is_off) == (["l0, l1", "(none)"], [False, True])
    numbers = answered_rows(manifest("regress", 2), np.array([[1.0, 1.0], [1.0, 4.0]]), [[1.5, 1.0], [1.0, 1.9]])
    assert numbers.is_off == [False, True]  # two points of a deviation of two


def test_top_words_by_hand() -> None:
    found = [
        attribution("Card card lost !", [1.0, 2.0, 0.5, 9.0]),
        attribution("card found", [1.0, -4.0]),
        attribution("lost 42", [0.1, 7.0]),
        attribution("card", [8.0], target="b"),
    ]
    listed = top_words(found, 10, 2).rows()
    assert listed == [("ig", "a", "card", 2.0, 2), ("ig", "a", "lost", 0.3, 2)]
    assert top_words(found, 1, 1).rows()[-1] == ("ig", "b", "card", 8.0, 1)
    assert top_words([], 10, 2).height == 0


def test_wrong_labels_stand_out_on_a_model_that_can_be_read() -> None:
    """Rows of two clouds, some labels flipped: both scores put them first."""
    rng = np.random.default_rng(0)
    truth = np.arange(80) % 2
    features = rng.normal(size=(80, 4)).astype(np.float32) + np.where(truth[:, None], 2.0, -2.0).astype(np.float32)
    flipped = set(rng.choice(80, 6, replace=False).tolist())
    labels = [f"l{(1 - one) if row in flipped else one}" for row, one in enumerate(truth)]
    head = Head(4, 2, 0.0, False).eval()
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
    known = manifest("classify", 2)
    own = self_influence(last_layer(known, head, features), targets_of(known, labels))
    assert set(np.argsort(-own)[:6].tolist()) == flipped
    places, _ = nearest(features, features, 5, range(80))
    off = disagreement("classify", labels, range(80), places)
    assert min(off[row] for row in flipped) > np.mean([off[row] for row in range(80) if row not in flipped])


def test_of_several_labels_the_wrong_one_is_explained() -> None:
    manifest = ModelManifest(
        task="tag",
        labels=("a", "b", "c"),
        base=BaseReference(name="tiny", digest="0"),
        trainable="head",
        network=NetworkShape(pooling="mean", hidden=2),
        length=LengthPolicy(max_tokens=8),
    )
    values = np.array([[0.99, 0.6, 0.1], [0.99, 0.6, 0.7], [0.99, 0.4, 0.1], [0.99, 0.1, 0.2], [0.99, 0.8, 0.1]])
    labels = [["a"], ["a"], ["a", "b"], ["a"], ["a", "b", "unheard of"]]
    answers = answered_rows(manifest, values, labels)
    assert answers.is_off == [True, True, True, False, True]
    unequal = manifest.model_copy(update={"decision": Decision(thresholds=(0.995, 0.5, 0.05))})
    assert target_places(unequal, values) == [1, 2, 2, 2, 1]  # a is the likeliest everywhere, and given nowhere
    assert target_places(unequal, np.array([[0.9, 0.4, 0.01]])) == [0]
    # b was given; c more surely than b; b was missed; nothing is wrong; only a label that no model could give.
    assert explained_places(manifest, values, answers) == [1, 2, 1, 0, 0]
