"""A head that goes on from a parent's: old outputs are the parent's bit for bit, wherever they stand now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tunesmith.core.errors import ModelError
from tunesmith.models.head_shape import HeadShape
from tunesmith.models.heads import Head
from tunesmith.models.manifest import HEAD, BaseReference, LengthPolicy, ModelManifest, NetworkShape, Standardization
from tunesmith.models.widen import carry_over

HIDDEN = 12
torch.set_num_threads(1)


def manifest(task: str, shape: HeadShape | None = None, **more: Any) -> ModelManifest:
    return ModelManifest(
        task=task,
        base=BaseReference(name="b", digest="ab" * 32),
        trainable="head",
        network=NetworkShape(
            pooling="mean", is_normalized=False, hidden=HIDDEN, dropout=0.0, head=shape or HeadShape()
        ),
        length=LengthPolicy(max_tokens=16, policy="truncate_right"),
        **more,
    )


def head_of(one: ModelManifest, seed: int) -> Head:
    torch.manual_seed(seed)
    made = Head(HIDDEN, one.num_outputs, 0.0, False, one.network.head).eval()
    torch.nn.init.normal_(made.linear.bias)
    return made


def parent(folder: Path, one: ModelManifest) -> Head:
    folder.mkdir(exist_ok=True)
    one.write(folder)
    made = head_of(one, 1)
    save_file(dict(made.state_dict()), folder / HEAD)
    return made


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("layers", [(), (8, 6)])
def test_old_logits_are_unchanged_where_new_labels_stand_between(
    task: str, layers: tuple[int, ...], tmp_path: Path
) -> None:
    shape = HeadShape(layers=layers, norm=bool(layers))
    was = manifest(task, shape, labels=("card", "fee", "loan"))
    # One label is gone, new ones stand before, between and after.
    now = manifest(task, shape, labels=("account", "card", "cash", "loan", "top_up"))
    before, after, fresh = parent(tmp_path, was), head_of(now, 2), head_of(now, 2)
    carry_over(after, now, tmp_path)
    x = torch.randn(50, HIDDEN)
    old, new = before(x), after(x)
    # A product of another width may be summed in another order; what is multiplied is the same bit for bit.
    kept = after.state_dict()
    for part in ("linear.weight", "linear.bias"):
        assert torch.equal(kept[part][[1, 3]], before.state_dict()[part][[0, 2]])
    assert torch.allclose(new[:, [1, 3]], old[:, [0, 2]], rtol=0, atol=1e-6)
    # New labels keep what they were drawn as, over the layers that they now share.
    assert torch.equal(kept["linear.weight"][[0, 2, 4]], fresh.state_dict()["linear.weight"][[0, 2, 4]])
    inner = [name for name in kept if not name.startswith("linear.")]
    assert bool(inner) == bool(layers) and all(torch.equal(kept[one], before.state_dict()[one]) for one in inner)


def test_a_number_keeps_its_value_in_other_deviations(tmp_path: Path) -> None:
    was = manifest("regress", target=Standardization(mean=3.0, std=0.5))
    now = manifest("regress", target=Standardization(mean=-20.0, std=7.0))
    before, after = parent(tmp_path, was), head_of(now, 2)
    carry_over(after, now, tmp_path)
    x = torch.randn(50, HIDDEN)
    old, new = before(x) * 0.5 + 3.0, after(x) * 7.0 - 20.0
    assert torch.allclose(new, old, atol=1e-4)


def test_several_numbers_go_by_their_names(tmp_path: Path) -> None:
    was = manifest(
        "regress", targets={"joy": Standardization(mean=1.0, std=2.0), "fear": Standardization(mean=5.0, std=0.1)}
    )
    now = manifest(
        "regress",
        targets={
            "anger": Standardization(mean=0.0, std=1.0),
            "fear": Standardization(mean=4.0, std=0.3),
            "joy": Standardization(mean=1.5, std=1.0),
        },
    )
    before, after = parent(tmp_path, was), head_of(now, 2)
    carry_over(after, now, tmp_path)
    x = torch.randn(50, HIDDEN)
    joy, fear = (before(x)[:, at] * std + mean for at, mean, std in ((0, 1.0, 2.0), (1, 5.0, 0.1)))
    assert torch.allclose(after(x)[:, 2] * 1.0 + 1.5, joy, atol=1e-4)
    assert torch.allclose(after(x)[:, 1] * 0.3 + 4.0, fear, atol=1e-4)


def test_another_shape_or_task_is_refused(tmp_path: Path) -> None:
    parent(tmp_path, manifest("classify", HeadShape(layers=(8,)), labels=("a", "b")))
    for now in (
        manifest("classify", HeadShape(layers=(9,)), labels=("a", "b")),
        manifest("classify", labels=("a", "b")),
        manifest("tag", HeadShape(layers=(8,)), labels=("a", "b")),
    ):
        with pytest.raises(ModelError, match="another shape") as caught:
            carry_over(head_of(now, 2), now, tmp_path)
        assert "classify" in str(caught.value.allowed) and "train.head" in str(caught.value.next)


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    now = manifest("classify", labels=("a", "b"))
    parent(tmp_path, now)
    (tmp_path / HEAD).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="cannot be loaded"):
        carry_over(head_of(now, 2), now, tmp_path)
