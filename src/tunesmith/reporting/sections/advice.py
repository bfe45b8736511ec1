"""What to do next, in plain words: each rule looks at the facts and speaks, or is silent."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from tunesmith.core.tasks import is_language
from tunesmith.reporting import wording
from tunesmith.reporting.sections.classes import confused_pairs
from tunesmith.reporting.sections.examples import Cases
from tunesmith.reporting.sections.verdict import is_higher_better, on_primary
from tunesmith.reporting.view import RunView

FEW_TRAIN_ROWS = 20
WEAK_F1 = 0.1
"""A class this far below the macro F1 is named."""
CONFUSED_SHARE = 0.1
"""Fewer mistakes between two classes than this share of the true one are no pattern."""
QUARANTINED_SHARE = 0.01
SURE = 0.9
MOST_ROWS = 1_000_000
"""More test rows than this are no advice."""


@dataclass(frozen=True)
class Advice:
    """One thing to do."""

    title: str
    why: str
    command: str = ""


def advice_of(view: RunView, cases: Cases | None) -> list[Advice]:
    """Everything the facts advise, the most pressing first."""
    found: list[Advice] = []
    for rule in RULES:
        found.extend(rule(view, cases))
    return found


def use(view: RunView, cases: Cases | None) -> list[Advice]:
    """Use what was released; try out what was not."""
    if view.task == "chat":
        name = shlex.quote(view.reference or f"run:{view.run_id}")
        title = "Talk to it" if view.reference else "Talk to it before you decide"
        return [Advice(title, "In the terminal, with the template that it was trained with.", f"tunesmith chat {name}")]
    if view.reference is not None:
        name = shlex.quote(view.reference)
        why = "Your own file comes back: the same rows in the same order, with the answer beside each."
        return [Advice("Use it", why, f"tunesmith predict {name} in.csv --out out.csv")]
    why = "It has no version and no alias, but its answers can be looked at under the run's own name."
    name = shlex.quote(f"run:{view.run_id}")
    return [Advice("Look at its answers before you decide", why, f"tunesmith predict {name} in.csv --out out.csv")]


def worse(view: RunView, cases: Cases | None) -> list[Advice]:
    """A baseline that wins is the better product."""
    names = [wording.baseline(one["against"]) for one in on_primary(view) if one["verdict"] == "worse"]
    if not names:
        return []
    better = "does better and costs" if len(names) == 1 else "do better and cost"
    title = f"Do not use this model: {wording.listed(names)} {better} next to nothing"
    why = (
        "Look at the loss curves first: a validation loss that rises from the start says the learning rate is too high."
    )
    # Where only the head learns, its own rate is the one that matters; `auto` is no number to divide.
    is_head = (view.settings.get("trainable") or {}).get("kind") == "head"
    key = "head_lr" if is_head else "optimizer.lr"
    lr = view.settings.get("head_lr") if is_head else (view.settings.get("optimizer") or {}).get("lr")
    command = f"tunesmith run recipe.yaml --set train.{key}={lr / 3:.1g}" if isinstance(lr, int | float) else ""
    return [Advice(title, why, command)]


def not_shown(view: RunView, cases: Cases | None) -> list[Advice]:
    """How many test rows would show the difference that was seen: the error shrinks with the root of the rows."""
    found = []
    for one in on_primary(view):
        if one["verdict"] != "not shown":
            continue
        name = wording.baseline(one["against"])
        gain = one["difference"] if is_higher_better(one["metric"]) else -one["difference"]
        smallest, rows = one["smallest_detectable"], one["num_rows"]
        size = wording.number(one["difference"], signed=True)
        if gain <= 0 or smallest is None:
            title = f"Nothing speaks for this model over {name}"
            found.append(Advice(title, f"The difference seen is {size}. More test rows alone will not change that."))
            continue
        needed = math.ceil(rows * max(1.0, smallest / gain) ** 2)
        title = f"Collect more test rows to settle the question against {name}"
        why = f"{wording.counted(rows, 'row')} can show a difference of about {wording.number(smallest)}; "
        why += f"seen was {size}. "
        if needed > MOST_ROWS:
            why += f"It would take more than {MOST_ROWS:,} rows: take the two as equally good."
        elif needed <= rows:
            why += "So the spread of these rows hides it: twice as many would most likely tell."
        else:
            why += f"If that is the true difference, about {_rounded(needed):,} test rows would show it."
        found.append(Advice(title, why))
    return found


def cheaper(view: RunView, cases: Cases | None) -> list[Advice]:
    """Where the untrained model is as good, training the head alone is the cheap choice; and the other way round."""
    base = [one for one in on_primary(view) if one["against"] in ("base_centroid", "base_ridge")]
    if not base or base[0]["verdict"] == "better":
        return []
    trainable = view.model["trainable"]
    if trainable == "full":
        title = "Train the head alone"
        why = "Training all weights is not shown to add to the untrained model; the head alone trains in seconds."
    elif trainable == "head":
        title = "Train all weights"
        why = "The head alone is not shown to add to the untrained model. Full fine-tuning can change the features."
    else:
        return []
    other = "head" if trainable == "full" else "full"
    return [Advice(title, why, f"tunesmith run recipe.yaml --set train.trainable={other}")]


def confused(view: RunView, cases: Cases | None) -> list[Advice]:
    """The pair of classes most often mistaken for each other."""
    pairs = confused_pairs(view.report)
    pairs = [pair for pair in pairs if pair.num >= 2 and pair.share >= CONFUSED_SHARE]
    if not pairs:
        return []
    one = pairs[0]
    why = (
        f"{one.num} of {wording.counted(one.total, 'test row')} of `{one.true}` were read as `{one.predicted}`. "
        "If people mix them up as well, merge them or sharpen the rule that tells them apart; "
        "otherwise label more of both."
    )
    return [Advice(f"Look at `{one.true}` and `{one.predicted}`", why)]


def doubtful_labels(view: RunView, cases: Cases | None) -> list[Advice]:
    """Rows that the model gets wrong though it is sure are often labelled wrong."""
    num = 0 if cases is None else cases.num_sure_and_wrong(SURE)
    if not num:
        return []
    rows = wording.counted(num, "test row")
    title = f"Check the labels of {rows} that it gets wrong though it is sure"
    why = f"At a probability of {SURE:g} or more an error is often a wrong label. They stand first under Examples."
    return [Advice(title, why)]


def small_classes(view: RunView, cases: Cases | None) -> list[Advice]:
    """Classes with too few rows to learn, and the one that lags behind."""
    counts = view.splits.get("label_counts", {}).get("train", {})
    few = sorted((num, label) for label, num in counts.items() if num < FEW_TRAIN_ROWS)
    if few:
        named = wording.listed([f"`{label}` ({num})" for num, label in few[:4]])
        more = f" and {len(few) - 4} more" if len(few) > 4 else ""
        title = f"Label more rows of {wording.counted(len(few), 'small class', 'small classes')}"
        return [Advice(title, f"Fewer than {FEW_TRAIN_ROWS} training rows: {named}{more}.")]
    scores = {label: one for label, one in view.report.get("per_class", {}).items() if one["support"]}
    if not scores:
        return []
    label, worst = min(scores.items(), key=lambda item: (item[1]["f1"], item[0]))
    mean = sum(one["f1"] for one in scores.values()) / len(scores)
    if mean - worst["f1"] < WEAK_F1:
        return []
    why = (
        f"Its F1 is {wording.number(worst['f1'])} where the mean class has {wording.number(mean)}; "
        f"it has {wording.counted(counts.get(label, 0), 'training row')}."
    )
    return [Advice(f"Label more rows of `{label}`, the weakest class", why)]


def quarantined(view: RunView, cases: Cases | None) -> list[Advice]:
    """Rows that could be won back."""
    rows, reasons = view.splits["rows"], view.splits["quarantined"]
    if not reasons or rows["quarantined"] < QUARANTINED_SHARE * rows["read"]:
        return []
    reason, num = max(reasons.items(), key=lambda item: item[1])
    title = f"Win back {wording.counted(rows['quarantined'], 'quarantined row')}"
    why = f"{wording.share(rows['quarantined'] / rows['read'])} of what was read; most often “{reason}” ({num:,})."
    return [Advice(title, why)]


def longer(view: RunView, cases: Cases | None) -> list[Advice]:
    """Texts whose end or start was cut off."""
    cut = view.report["truncated_rows"] + view.model.get("truncated_rows", 0) + view.model.get("dropped_rows", 0)
    if not cut:
        return []
    now, most = view.model["length"]["max_tokens"], view.base["max_tokens"]
    rows = wording.counted(cut, "row")
    title = f"{rows} {'is' if cut == 1 else 'are'} longer than the {now} tokens the model reads"
    if now < most:
        key = "tokens.max_tokens" if is_language(view.task) else "train.max_tokens"
        return [Advice(title, "The base can read more.", f"tunesmith run recipe.yaml --set {key}={most}")]
    return [Advice(title, "That is all this base can read: shorten the texts, or take a base with a longer reach.")]


def unfinished(view: RunView, cases: Cases | None) -> list[Advice]:
    """Training that ended while it was still getting better."""
    if view.model["best_step"] != view.model["steps"] or view.model["stopped"].startswith("early"):
        return []
    epochs = math.ceil(view.model["epochs"])
    why = "The last checkpoint was the best one, so validation was still getting better."
    return [Advice("Train longer", why, f"tunesmith run recipe.yaml --set train.epochs={2 * epochs}")]


def leaking(view: RunView, cases: Cases | None) -> list[Advice]:
    """Training rows nearly the same as rows that prove the model."""
    num = view.quality.get("uniqueness", {}).get("across_splits", 0)
    if not num:
        return []
    title = f"Distrust the scores a little: {wording.counted(num, 'row')} nearly stand in two splits"
    return [
        Advice(
            title,
            "Rows left in train or validation are nearly the same as a proving row; group the split by `subject`.",
        )
    ]


RULES: tuple[Callable[[RunView, Cases | None], list[Advice]], ...] = (
    worse,
    use,
    not_shown,
    cheaper,
    leaking,
    longer,
    doubtful_labels,
    confused,
    small_classes,
    quarantined,
    unfinished,
)


def _rounded(value: int) -> int:
    """Two significant digits, upwards: more would feign exactness."""
    power = int(10 ** max(0, len(str(value)) - 2))
    return math.ceil(value / power) * power
