"""R-Drop, mixup, L1 and L2 by hand, in float64 where numbers are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests import tiny

from tunesmith.core.method import Columns, Loss, Objective
from tunesmith.numerics.losses import cross_entropy, symmetric_kl
from tunesmith.training.regularise import mixing, mixup, penalty, rdrop
from tunesmith.training.regularise_config import PenaltyConfig

torch.set_num_threads(1)
LOGITS = np.array([[1.0, -0.5, 0.2], [0.3, 2.0, -1.0], [0.0, 0.1, 0.2]])
OTHER = np.array([[0.7, 0.1, 0.0], [0.1, 1.5, -2.0], [0.4, 0.1, -0.2]])
TARGET = np.array([0, 1, 2])


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def objective(class_weight: torch.Tensor | None = None) -> Objective:
    def loss(forward: Any, batch: Columns) -> Loss:
        return Loss(*cross_entropy(forward("model", batch), batch["target"], class_weight_C=class_weight))

    return Objective("cross_entropy", loss)


def test_both_divergences_at_once() -> None:
    p, q = softmax(LOGITS), softmax(OTHER)
    expected = ((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum()) / 2
    assert float(symmetric_kl(torch.tensor(LOGITS), torch.tensor(OTHER))) == pytest.approx(expected, rel=1e-6)
    assert float(symmetric_kl(torch.tensor(LOGITS), torch.tensor(LOGITS))) == 0.0


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_rdrop_is_two_losses_and_what_lies_between(weights: list[float] | None) -> None:
    outputs = iter([torch.tensor(LOGITS), torch.tensor(OTHER)])
    weight_C = None if weights is None else torch.tensor(weights)
    found = rdrop(objective(weight_C), 0.7).loss(lambda role, batch: next(outputs), {"target": torch.tensor(TARGET)})
    w = np.array(weights or [1.0, 1.0, 1.0])[TARGET]
    rows = np.arange(3)
    entropies = [-(w * np.log(softmax(one)[rows, TARGET])).sum() for one in (LOGITS, OTHER)]
    p, q = softmax(LOGITS), softmax(OTHER)
    apart = ((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum()) / 2
    assert float(found.weight) == pytest.approx(w.sum())
    assert float(found.total) == pytest.approx(sum(entropies) / 2 + 0.7 * apart * w.sum() / 3, rel=1e-6)


def test_rdrop_draws_other_units_in_each_pass_and_validates_without(tmp_path: Path) -> None:
    """Without dropout both passes agree, and the run is the plain one up to the order of sums."""
    folder = tmp_path / "bert"
    tiny.write_encoder("bert", folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    given = {"base": tiny.base(folder=folder), "splits": tiny.labelled(tmp_path / "splits")}
    runs = {
        (dropout, alpha): tiny.train(
            tiny.train_config(dropout=dropout, max_steps=3, **({"rdrop": {"alpha": alpha}} if alpha else {})),
            given,
            tiny.FakeContext(tmp_path / f"{dropout}-{alpha}"),
        )
        for dropout, alpha in ((0.0, 0.0), (0.0, 5.0), (0.3, 0.0), (0.3, 5.0))
    }
    assert runs[0.0, 5.0].losses == pytest.approx(runs[0.0, 0.0].losses, abs=1e-6)
    assert runs[0.3, 5.0].losses[0] > runs[0.3, 0.0].losses[0] - 0.1
    assert runs[0.3, 5.0].losses != runs[0.3, 0.0].losses


def test_mixing_rows_sum_to_one_and_follow_the_seed() -> None:
    torch.manual_seed(3)
    mix_BB = mixing(6, 0.4)
    torch.manual_seed(3)
    assert torch.equal(mix_BB, mixing(6, 0.4))
    assert torch.allclose(mix_BB.sum(1), torch.ones(6)) and bool((mix_BB >= 0).all())
    assert int((mix_BB > 0).sum(1).max()) <= 2
    assert torch.equal(mixing(1, 0.2), torch.ones(1, 1))


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_the_loss_of_a_mixed_target_is_the_mix_of_both_losses(weights: list[float] | None) -> None:
    torch.manual_seed(1)
    mix_BB = mixing(3, 1.0).double().numpy()
    torch.manual_seed(1)
    seen: list[Columns] = []

    def forward(role: str, batch: Columns) -> torch.Tensor:
        seen.append(batch)
        return torch.tensor(LOGITS)

    weight_C = None if weights is None else torch.tensor(weights)
    found = mixup(objective(weight_C), 1.0, 3).loss(forward, {"target": torch.tensor(TARGET)})
    w, logp = np.array(weights or [1.0, 1.0, 1.0]), np.log(softmax(LOGITS))
    shares_BC = mix_BB @ np.eye(3)[TARGET]
    assert float(found.total) == pytest.approx(-(shares_BC * w * logp).sum(), rel=1e-6)
    assert float(found.weight) == pytest.approx((shares_BC * w).sum(), rel=1e-6)
    assert np.allclose(seen[0]["mix"].numpy(), mix_BB)


def test_a_head_mixes_its_input() -> None:
    from tunesmith.models.heads import Head

    for is_normalized in (False, True):
        head = Head(3, 2, 0.0, is_normalized)
        features_BD = torch.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
        mix_BB = torch.tensor([[0.25, 0.75], [0.0, 1.0]])
        plain = head(features_BD)
        # The last layer is linear, so mixed vectors give mixed logits.
        assert torch.allclose(head(features_BD, mix_BB), mix_BB @ plain, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "terms"),
    [
        ({"l1": 0.3, "on": "head"}, {"head.linear.weight": ("l1", 0)}),
        ({"l2": 0.3, "on": "all"}, {"head.linear.weight": ("l2", 0), "encoder.weight": ("l2", 0)}),
        (
            {"l1": 0.3, "l2": 0.3, "on": "all", "towards": "base"},
            {"head.linear.weight": ("both", 0), "encoder.weight": ("both", 1)},
        ),
    ],
)
def test_penalties_and_their_gradients_by_hand(config: dict[str, Any], terms: dict[str, tuple[str, int]]) -> None:
    rng = np.random.default_rng(0)
    shapes = {"encoder.weight": (2, 3), "encoder.bias": (3,), "head.linear.weight": (3, 2), "head.linear.bias": (2,)}
    start = {name: torch.tensor(rng.normal(size=shape)) for name, shape in shapes.items()}
    price = penalty(PenaltyConfig.model_validate(config), start)
    moved = {name: (one + torch.tensor(rng.normal(size=one.shape))).requires_grad_() for name, one in start.items()}
    total = price(moved)
    total.backward()  # type: ignore[no-untyped-call]
    expected = 0.0
    for name, one in moved.items():
        kind, is_drawn_back = terms.get(name, ("none", 0))
        away = one.detach().numpy() - is_drawn_back * start[name].numpy()
        gradient = np.zeros_like(away)
        if kind in ("l1", "both"):
            expected, gradient = expected + 0.3 * np.abs(away).sum(), gradient + 0.3 * np.sign(away)
        if kind in ("l2", "both"):
            expected, gradient = expected + 0.15 * (away**2).sum(), gradient + 0.3 * away
        if name in terms:
            assert one.grad is not None and np.allclose(one.grad.numpy(), gradient, rtol=1e-12)
        else:
            assert one.grad is None
    assert float(total.detach()) == pytest.approx(expected, rel=1e-12)


def test_a_strong_penalty_towards_the_base_keeps_weights_there(tmp_path: Path) -> None:
    given = {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits")}
    far = []
    for name, l2 in (("free", 0.0), ("held", 100.0)):
        held = {"penalty": {"l2": l2, "on": "all", "towards": "base"}} if l2 else {}
        config = tiny.train_config(optimizer={"kind": "sgd", "lr": 0.005, "momentum": 0.0}, clip=None, **held)
        run = tiny.train(config, given, tiny.FakeContext(tmp_path / name))
        from safetensors.torch import load_file

        start = load_file(given["base"].path / "files" / "model.safetensors")
        end = load_file(run.path / "encoder" / "model.safetensors")
        far.append(sum(float((end[key] - start[key]).square().sum()) for key in end if end[key].ndim == 2))
    assert far[1] < far[0] / 2
