"""Pooling and padding: by hand, and nothing under the mask counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tunesmith.numerics.padding import pad
from tunesmith.numerics.pooling import Pooling, pool

HIDDEN_BTD = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]], [[5.0, -1.0], [7.0, 1.0], [0.0, 3.0]]])
MASK_BT = torch.tensor([[1, 1, 0], [1, 1, 1]])


def test_mean_by_hand() -> None:
    assert pool(HIDDEN_BTD, MASK_BT, "mean").numpy() == pytest.approx(np.array([[2.0, 3.0], [4.0, 1.0]]))


def test_cls_is_the_first_token() -> None:
    assert pool(HIDDEN_BTD, MASK_BT, "cls").tolist() == [[1.0, 2.0], [5.0, -1.0]]


@pytest.mark.parametrize("how", ["mean", "cls", "last"])
def test_masked_tokens_change_nothing(how: Pooling) -> None:
    noise_BTD = HIDDEN_BTD.clone()
    noise_BTD[0, 2] = torch.tensor([-1e9, 7e8])
    assert torch.equal(pool(noise_BTD, MASK_BT, how), pool(HIDDEN_BTD, MASK_BT, how))
    noise_BTD.requires_grad_(True)
    pool(noise_BTD, MASK_BT, how).sum().backward()
    assert noise_BTD.grad is not None
    assert noise_BTD.grad[0, 2].tolist() == [0.0, 0.0]


def test_an_empty_text_is_no_division_by_zero() -> None:
    assert pool(HIDDEN_BTD, torch.zeros(2, 3, dtype=torch.long), "mean").tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_the_result_is_float32() -> None:
    assert pool(HIDDEN_BTD.bfloat16(), MASK_BT, "mean").dtype == torch.float32


def test_padding_stands_on_the_right_under_a_mask_of_0() -> None:
    tokens_BT, mask_BT = pad([[5, 6, 7], [8]])
    assert tokens_BT.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask_BT.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_the_last_token_is_the_last_that_is_no_padding() -> None:
    hidden_BTD = torch.arange(24.0).reshape(2, 4, 3)
    mask_BT = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    assert torch.equal(pool(hidden_BTD, mask_BT, "last"), torch.stack([hidden_BTD[0, 1], hidden_BTD[1, 3]]))
    left_BT = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]])
    assert torch.equal(pool(hidden_BTD, left_BT, "last"), hidden_BTD[:, 3])
