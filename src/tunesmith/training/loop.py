"""The one training loop. It knows steps, epochs, validation and checkpoints; it never asks which method it runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from tunesmith.core.errors import Interrupted, StepError
from tunesmith.core.method import HasCollect, Method, Objective, Row
from tunesmith.core.stage import StepContext
from tunesmith.numerics.batching import epoch_order
from tunesmith.training import schedule
from tunesmith.training.aim import Aim
from tunesmith.training.batch import Batching, Padded
from tunesmith.training.checkpoint import Checkpoint, Checkpoints, optimizer_tensors, restore_optimizers
from tunesmith.training.mishaps import Mishaps, diagnose, is_finite
from tunesmith.training.precision import seed_generators
from tunesmith.training.step import MemoryShort, Networks, NoMemory, NotFinite, Taken, is_out_of_memory, take
from tunesmith.training.validation import Watch, evaluate

Done = TypeVar("Done")
Look = Callable[[int], tuple[Mapping[str, float], Mapping[str, Any]]]
"""A look at the validation rows with so many tokens a microbatch: its values, and what else its history line says."""

MAX_POINTS = 400
"""Loss points kept in the history: a longer run logs means over several steps."""


@dataclass(frozen=True)
class Settings:
    """The numbers of a run; everything here is part of the maths but the last three."""

    batch: int
    epochs: int
    max_steps: int | None
    schedule_kind: Any
    warmup: float
    clip: float | None
    validate_every: float
    is_bucketed: bool
    seed: int
    patience: int | None
    watch: Watch
    budget_tokens: int
    checkpoint_every_s: float
    decay: float = 0.2
    on_nan: Literal["stop", "skip"] = "stop"


@dataclass
class State:
    """Where a run is. With the tensors it is all a resumed run needs: order and dropout follow from seed and step."""

    step: int = 0
    best_step: int = 0
    best_value: float | None = None
    num_worse: int = 0
    is_stopped: bool = False
    pending: list[tuple[float, float]] = field(default_factory=list)
    """Loss and gradient norm of the steps since the last history line."""
    history: list[dict[str, Any]] = field(default_factory=list)


class Loop:
    """A fit: rows in, best weights out."""

    def __init__(
        self,
        method: Method,
        networks: Networks,
        optimizers: Mapping[str, Optimizer],
        rows: Mapping[str, Sequence[Row]],
        settings: Settings,
        context: StepContext,
        aim: Aim | None = None,
        batching: Batching | None = None,
        look: Look | None = None,
        name_row: Callable[[int], str] = str,
    ) -> None:
        self.method, self.networks, self.optimizers = method, networks, dict(optimizers)
        self.train_rows, self.validation_rows = rows["train"], rows["validation"]
        self.settings, self.context = settings, context
        self.state, self.mishaps = State(), Mishaps()
        self.checkpoints = Checkpoints(context.scratch / "checkpoints", context.warn, self._saved_state())
        self.aim = aim or Aim.of(method)
        self.batching = batching or Padded()
        self.look, self.name_row = look or self._evaluate, name_row
        self.lengths = self.batching.lengths(self.train_rows)
        self.steps_per_epoch = math.ceil(len(self.train_rows) / settings.batch)
        self.total_steps = min(settings.epochs * self.steps_per_epoch, settings.max_steps or 10**12)
        self.validate_steps = max(1, round(settings.validate_every * self.steps_per_epoch))
        self.log_every = max(1, self.total_steps // MAX_POINTS)
        self.best: dict[str, Tensor] = {}
        self._order: tuple[int, list[list[int]]] = (-1, [])
        self._saved_at_s = time.monotonic()

    def fit(self) -> State:
        """Train to the end and leave the best weights in the networks."""
        self.advance(self.total_steps)
        self.take_best()
        return self.state

    def advance(self, until: int) -> State:
        """Train to an optimizer step, or to the end; takes up the newest checkpoint where there is one."""
        self._resume()
        while self.state.step < min(until, self.total_steps) and not self.state.is_stopped:
            self._one_step()
            if self.state.step % self.validate_steps == 0 or self.state.step == self.total_steps:
                self._validate()
            if time.monotonic() - self._saved_at_s >= self.settings.checkpoint_every_s:
                self._save()
            self._check_cancelled()
        return self.state

    def pause(self) -> None:
        """Save all that ``advance`` needs to go on, in another loop or process, as if it had not been paused."""
        self._save()

    def looked(self) -> Mapping[str, float]:
        """What a look at the validation rows gives with the weights as they are; nothing where there are no rows."""
        return self._with_less_memory(lambda: self.look(self.budget_tokens))[0] if self.validation_rows else {}

    def take_best(self) -> None:
        """Put the weights of the best validation into the networks."""
        if self.best:
            self._load_weights(self.best)

    @property
    def budget_tokens(self) -> int:
        """Tokens of a microbatch: those asked for, or fewer once memory ran out."""
        return self.mishaps.budget_tokens or self.settings.budget_tokens

    def _one_step(self) -> None:
        step = self.state.step
        self._set_rates(step)
        taken: Taken | None = None
        for objective in self.aim.objectives:
            if step % objective.every or self.mishaps.is_left_out(step):
                continue
            try:
                taken = self._with_less_memory(lambda objective=objective: self._take(objective, step))  # type: ignore[misc]
            except NotFinite as error:
                if self._is_given_up(step, error):
                    break
                return
            except NoMemory:
                raise
            except StepError as error:
                raise StepError(f"optimizer step {step}: {error.what}", seen=error.seen, next=error.next) from None
            self.state.pending.append((taken.loss, taken.grad_norm))
        self.state.step += 1
        if self.state.step % self.log_every == 0 or self.state.step == self.total_steps:
            self._log()
        epoch = self.state.step / self.steps_per_epoch
        note = f"epoch {epoch:.1f}" + (f" · loss {taken.loss:.3f}" if taken else "")
        self.context.progress(self.state.step, self.total_steps, "steps", note)

    def _take(self, objective: Objective, step: int) -> Taken:
        # Dropout of a step depends on seed and step alone, so a resumed run needs no random state.
        seed_generators((self.settings.seed + 1) * 1_000_003 + step)
        rows = self._rows_of(step)
        self.networks.train(True)
        return take(
            objective,
            self.aim.penalties,
            self.networks,
            self.optimizers[objective.trains],
            rows,
            budget_tokens=self.budget_tokens,
            clip=self.settings.clip,
            batching=self.batching,
        )

    def _with_less_memory(self, work: Callable[[], Done]) -> Done:
        """What the work gives, microbatches halved for as long as memory runs out in it.

        Raises: NoMemory where even single rows do not fit.
        """
        while True:
            try:
                return work()
            except (MemoryShort, MemoryError, RuntimeError) as error:
                if not isinstance(error, MemoryShort) and not is_out_of_memory(error):
                    raise
                before = self.budget_tokens
                if before < 2 or getattr(error, "is_smallest", False):
                    raise NoMemory(
                        f"optimizer step {self.state.step}: memory ran out with a single row in a microbatch",
                        seen=str(error).splitlines()[0] if str(error) else type(error).__name__,
                        next="lower `max_tokens`, train fewer weights (`trainable: lora`), or use a machine with more",
                    ) from None
                self.mishaps.budget_tokens = before // 2
                self.mishaps.lowered.append({"step": self.state.step, "from": before, "to": before // 2})
                words = f"microbatches now hold {before // 2} tokens, not {before}"
                self.context.warn(f"memory ran out in step {self.state.step}: {words}")

    def _is_given_up(self, step: int, error: NotFinite) -> bool:
        """Whether the step is left out and the next one comes; False: training went back to an earlier step.

        Raises: StepError where the settings, or too many such steps, end training.
        """
        if not is_finite(self._weights()):
            return self._go_back(step, error)
        rows = self._rows_of(step)
        found = diagnose(self.method, self.networks, rows, self.batching, error.gradient)
        names = [self.name_row(place) for place in self._places_of(step)]
        if len(names) == len(rows):  # a method that makes its rows may make more, or fewer
            names = [names[place] for place in found.rows]
        seen = f"{error.seen}; {found.words(names)}"
        if self.settings.on_nan == "skip":
            self.mishaps.skipped.append({"step": step, "rows": names, "where": found.where})
            if not self.mishaps.is_too_much(step):
                self.context.warn(f"step {step} was left out: {error.what} ({seen})")
                return True
        raise StepError(f"optimizer step {step}: {error.what}", seen=seen, next=error.next) from None

    def _go_back(self, step: int, error: NotFinite) -> bool:
        """Take up the newest checkpoint from before the weights were spoiled; the step that did it is left out."""
        spoiled = {"step": step - 1, "rows": [], "where": "the weights were not finite after this step"}
        if self.settings.on_nan == "skip" and not self.mishaps.is_left_out(step - 1):
            for found in self.checkpoints.newest_first():
                if is_finite(found.weights):
                    mishaps = replace(self.mishaps, skipped=[*self.mishaps.skipped, spoiled])
                    self._take_up(found)
                    self.mishaps = mishaps
                    self.context.warn(f"step {step - 1} spoiled the weights: back to step {self.state.step} without it")
                    return False
        raise StepError(
            f"optimizer step {step}: {error.what}, and so are the weights since the step before",
            seen=error.seen,
            next=error.next,
        )

    def _rows_of(self, step: int) -> Sequence[Row]:
        rows: Sequence[Row] = [self.train_rows[place] for place in self._places_of(step)]
        return list(self.method.collect(rows, step)) if isinstance(self.method, HasCollect) else rows

    def _places_of(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            settings = self.settings
            order = epoch_order(
                self.lengths, settings.batch, seed=settings.seed, epoch=epoch, is_bucketed=settings.is_bucketed
            )
            self._order = (epoch, order)
        return self._order[1][place]

    def _set_rates(self, step: int) -> float:
        settings = self.settings
        warmup = schedule.warmup_steps(settings.warmup, self.total_steps)
        factor = schedule.factor(settings.schedule_kind, step, self.total_steps, warmup, settings.decay)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
        return factor

    def _log(self) -> None:
        losses, norms = zip(*self.state.pending, strict=True) if self.state.pending else ((), ())
        self.state.pending = []
        if not losses:
            return
        rate = next(iter(self.optimizers.values())).param_groups[0]["lr"]
        line = {
            "step": self.state.step,
            "epoch": round(self.state.step / self.steps_per_epoch, 4),
            "loss": sum(losses) / len(losses),
            "lr": rate,
            "grad_norm": sum(norms) / len(norms),
        }
        self.state.history.append(line)
        self.context.metric(self.state.step, loss=line["loss"], lr=rate, grad_norm=line["grad_norm"])

    def _validate(self) -> None:
        if not self.validation_rows:
            return
        values, more = self._with_less_memory(lambda: self.look(self.budget_tokens))
        state, watch = self.state, self.settings.watch
        epoch = round(state.step / self.steps_per_epoch, 4)
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        state.history.append({"step": state.step, "epoch": epoch, "validation": finite, **more})
        self.context.metric(state.step, **{f"validation_{name}": value for name, value in values.items()})
        if watch.is_better(values, state.best_value):
            state.best_value, state.best_step, state.num_worse = watch.value(values), state.step, 0
            self.best = {name: tensor.clone() for name, tensor in self._weights().items()}
        else:
            state.num_worse += 1
            patience = self.settings.patience
            state.is_stopped = patience is not None and state.num_worse >= patience

    def _evaluate(self, budget_tokens: int) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        return evaluate(self.method, self.networks, self.validation_rows, budget_tokens, self.batching), {}

    def _check_cancelled(self) -> None:
        try:
            self.context.check_cancelled()
        except Interrupted:
            self._save()
            raise

    def _weights(self) -> dict[str, Tensor]:
        trained = self.networks.trained()
        return {f"{role}/{name}": tensor for role, tensors in trained.items() for name, tensor in tensors.items()}

    def _load_weights(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in self._weights().items():
                tensor.copy_(weights[name])

    def _save(self) -> None:
        weights = {name: tensor.contiguous() for name, tensor in self._weights().items()}
        best = {} if self.state.best_step == self.state.step else self.best
        moments = optimizer_tensors(self.optimizers)
        self.checkpoints.save(self.state.step, Checkpoint(self._saved_state(), weights, best, moments))
        self._saved_at_s = time.monotonic()

    def _saved_state(self) -> dict[str, Any]:
        return {**asdict(self.state), "mishaps": asdict(self.mishaps)}

    def _resume(self) -> None:
        found = self.checkpoints.load()
        if found is None:
            return
        self._take_up(found)
        self.context.warn(f"resumed at step {self.state.step} of {self.total_steps}")

    def _take_up(self, found: Checkpoint) -> None:
        state = dict(found.state)
        self.mishaps = Mishaps(**state.pop("mishaps"))
        self.state = State(**state)
        self._load_weights(found.weights)
        restore_optimizers(self.optimizers, found.optimizer)
        if self.state.best_value is not None:
            self.best = found.best or {name: tensor.clone() for name, tensor in found.weights.items()}
