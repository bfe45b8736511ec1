"""Terms and noise around a method's objectives: R-Drop, mixup, L1 and L2. Validation never sees them.

Shapes: B rows, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from tunesmith.core.method import Columns, Forward, Loss, Method, Network, Objective
from tunesmith.numerics.losses import symmetric_kl
from tunesmith.training.aim import Aim, Penalty
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.optimizers import HEAD
from tunesmith.training.regularise_config import PenaltyConfig


def aim_of(method: Method, config: TrainStageConfig, model: Network, num_outputs: int) -> Aim:
    """The method's aim with what the recipe adds; call it before training, while weights are the base's."""
    aim = Aim.of(method)
    if config.rdrop is not None:
        alpha = config.rdrop.alpha
        aim = replace(aim, objectives=tuple(rdrop(one, alpha) for one in aim.objectives))
    if config.mixup is not None:
        alpha = config.mixup.alpha
        aim = replace(aim, objectives=tuple(mixup(one, alpha, num_outputs) for one in aim.objectives))
    if config.penalty is not None:
        named = {name: one for name, one in model.module.named_parameters() if one.requires_grad}
        aim = replace(aim, penalties=(*aim.penalties, penalty(config.penalty, named)))
    return aim


def rdrop(objective: Objective, alpha: float) -> Objective:
    """The mean of two losses under other dropped units, and ``alpha`` times the mean of both divergences between them.

    Source: Liang et al. 2021, equations 1 to 3, halved as in the authors' code, so that rates mean what they do
    without it.
    """

    def loss(forward: Forward, batch: Columns) -> Loss:
        seen: list[Tensor] = []

        def watched(role: str, columns: Columns) -> Tensor:
            output = forward(role, columns)
            if role == objective.trains:
                seen.append(output)
            return output

        one, other = objective.loss(watched, batch), objective.loss(watched, batch)
        apart = symmetric_kl(seen[0], seen[-1])
        # Rows may weigh more than 1: the term is then weighed like the mean row.
        share = one.weight / len(seen[0])
        return Loss((one.total + other.total) / 2 + alpha * apart * share, one.weight)

    return replace(objective, loss=loss)


def mixup(objective: Objective, alpha: float, num_labels: int) -> Objective:
    """The loss of mixed vectors against equally mixed targets; each row has a share and a partner of its own.

    Source: Zhang et al. 2018, section 2, on the head's input (Verma et al. 2019 with its last layer alone).
    """

    def loss(forward: Forward, batch: Columns) -> Loss:
        target_BC = F.one_hot(batch["target"], num_labels).float()
        mix_BB = mixing(len(target_BC), alpha)
        return objective.loss(forward, {**batch, "mix": mix_BB, "target": mix_BB @ target_BC})

    return replace(objective, loss=loss)


def mixing(num_rows: int, alpha: float) -> Tensor:
    """Rows of weights (B, B) that sum to 1: a Beta(alpha, alpha) share of itself, the rest of another row.

    Takes torch's global random state, which the loop starts anew for every step.
    """
    share_B = torch.distributions.Beta(alpha, alpha).sample((num_rows,))
    partner_B = torch.randperm(num_rows)
    mix_BB = torch.diag(share_B)
    mix_BB[torch.arange(num_rows), partner_B] += 1 - share_B
    return mix_BB


def penalty(config: PenaltyConfig, start: Mapping[str, Tensor]) -> Penalty:
    """``l1 * sum|w - w0| + l2 / 2 * sum (w - w0)^2`` over matrices; w0 is 0, or where a pre-trained weight started."""
    names = [name for name, one in start.items() if one.ndim >= 2 and (config.on == "all" or name.startswith(HEAD))]
    is_drawn_back = config.towards == "base"
    origin = {name: start[name].detach().clone() for name in names if is_drawn_back and not name.startswith(HEAD)}

    def of(parameters: Mapping[str, Tensor]) -> Tensor:
        total = torch.zeros(())
        for name in names:
            away = parameters[name] - origin[name] if name in origin else parameters[name]
            if config.l1:
                total = total + config.l1 * away.abs().sum()
            if config.l2:
                total = total + config.l2 / 2 * away.square().sum()
        return total

    return of
