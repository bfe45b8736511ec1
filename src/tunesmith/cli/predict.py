"""``tunesmith predict``: a file back with its answers, or the answers to some texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import MaxNewTokens, Reference, TextColumn, verb
from tunesmith.core.errors import RecipeError

if TYPE_CHECKING:
    from tunesmith.lifecycle.language_model import LanguageModel
    from tunesmith.lifecycle.model import Model, Prediction
    from tunesmith.lifecycle.predict_file import FileAnswers

MOST_LABELS = 12


@verb
def predict(
    screen: Screen,
    model: Reference,
    file: Annotated[
        Path | None,
        typer.Argument(help="A CSV, JSON, JSON lines, Parquet or Arrow file.", metavar="FILE", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where the answered file goes.")] = None,
    text: Annotated[list[str] | None, typer.Option("--text", help="A text to answer. Repeatable.")] = None,
    text_column: TextColumn = None,
    is_all: Annotated[bool, typer.Option("--all", help="A column for the probability of every label.")] = False,
    max_new_tokens: MaxNewTokens = 256,
) -> None:
    """Answer a file: same rows, same order, every cell as it was, with label and probability, value or text beside."""
    from tunesmith import api

    if (file is None) == (not text):
        raise RecipeError(
            "predict takes a file, or texts",
            seen="both" if file else "neither",
            next=screen.command("predict", model, "FILE", "--out", "OUT") + ', or --text "..."',
        )
    if text:
        opened = api.load(model, **screen.where)
        if isinstance(opened, api.LanguageModel):
            _write(screen, opened, text, max_new_tokens)
            return
        answers = opened.predict(text)
        told = [{"text": one, **asdict(answer)} for one, answer in zip(text, answers, strict=True)]
        screen.result(told, *(answered(one, answer, opened) for one, answer in zip(text, answers, strict=True)))
        return
    assert file is not None
    if out is None:
        from tunesmith.lifecycle.table_file import answers_name

        likely = screen.command("predict", model, str(file), "--out", str(answers_name(file)))
        raise RecipeError("where shall the answers go?", next=likely)
    with screen.working() as work:
        written = api.predict_file(
            model,
            file,
            out,
            text_column=text_column,
            is_all=is_all,
            options=api.GenerationOptions(max_new_tokens),
            listener=work.listener,
            cancel=work.cancel,
            **screen.where,
        )
    screen.result(written.to_dict(), _written(written))


def _write(screen: Screen, model: LanguageModel, prompts: list[str], max_new_tokens: int) -> None:
    """The answers of a language model, one after the other."""
    answers = model.generate(prompts, max_new_tokens=max_new_tokens)
    told, shown = [], []
    for prompt, answer in zip(prompts, answers, strict=True):
        counts = {name: one for name, one in answer.to_dict().items() if name != "text"}
        told.append({"text": prompt, "answer": answer.text, **counts})
        shown += [Text(f"→ {figures.shown(prompt, 100)}", "dim"), Text(figures.printable(answer.text))]
        if answer.num_truncated_tokens:
            lost = figures.count(answer.num_truncated_tokens, "token")
            shown.append(Text(f"  longer than the model reads: {lost} at its start not read", "yellow"))
        if answer.finish == "length":
            shown.append(Text(f"  ended after {figures.count(answer.num_tokens, 'token')}", "yellow"))
    screen.result(told, *shown, *(Text(note, "yellow") for note in model.notes))


def answered(text: str, answer: Prediction, model: Model | None = None) -> Text:
    """One text with its answer, in a line, and by which thresholds of the model it is so."""
    if answer.labels is not None:
        told = _labelled(answer, {} if model is None else model.thresholds)
    elif answer.values is not None:
        told = [(" · ".join(f"{name} {figures.score(one)}" for name, one in answer.values.items()), "bold")]
    elif answer.probability is None:
        told = [(figures.score(answer.value or 0.0), "bold")]
    elif answer.is_rejected:
        likely = max(answer.probabilities, key=lambda name: answer.probabilities[name])
        told = [(figures.shown(answer.label or "rejected"), "bold yellow")]
        why = ""
        if model is not None and model.rejection is not None and answer.score is not None:
            why = f" (score {figures.score(answer.score)}, from {figures.score(model.rejection.threshold)} on it is)"
        told.append((f"  not known{why}; nearest is {figures.shown(likely)} {answer.probability:.2f}", ""))
    else:
        told = [(figures.shown(answer.label), "bold"), (f"  {answer.probability:.2f}", "")]
    if answer.num_truncated_tokens:
        told.append((f"  {figures.count(answer.num_truncated_tokens, 'token')} not read", "yellow"))
    return Text.assemble(*told, (f"  ← {figures.shown(text, 100)}", "dim"))


def _labelled(answer: Prediction, thresholds: Mapping[str, float]) -> list[tuple[str, str]]:
    """The labels given; where none is, the one that is the least below its threshold."""

    def one(label: str) -> str:
        since = f" (from {_chance(thresholds[label])})" if label in thresholds else ""
        return f"{figures.shown(label)} {_chance(answer.probabilities[label])}{since}"

    if answer.labels:
        return [(" · ".join(map(one, answer.labels)), "bold")]
    if not thresholds:
        return [("no label", "bold")]
    nearest = max(thresholds, key=lambda label: answer.probabilities[label] - thresholds[label])
    return [("no label", "bold"), (f"  nearest is {one(nearest)}", "")]


def _chance(probability: float) -> str:
    """A probability or a threshold, with as many digits as tell it from 0."""
    return f"{probability:.2f}" if probability >= 0.01 or not probability else f"{probability:.2g}"


def _written(written: FileAnswers) -> Text:
    rows = written.rows
    lines = [
        Text.assemble(
            (written.out, "bold"), f"  {figures.count(rows['read'], 'row')}, {figures.shown(written.format)}"
        ),
        Text(f"  read from `{figures.shown(written.text_column)}` ({written.why_text_column})"),
        Text(f"  written to {', '.join(f'`{figures.shown(name)}`' for name in written.added_columns)}"),
    ]
    if written.labels:
        most = dict(list(written.labels.items())[:MOST_LABELS])
        rest = len(written.labels) - len(most)
        lines.append(Text(f"  {figures.counts(most)}" + (f" · {rest} labels more" if rest else "")))
    if written.thresholds:
        told = written.thresholds.items()
        given = [f"{figures.shown(label)} {'never' if one > 1 else _chance(one)}" for label, one in told]
        rest = len(given) - MOST_LABELS
        more = f" · {rest} labels more (--json)" if rest > 0 else ""
        lines.append(Text(f"  labels are given from: {' · '.join(given[:MOST_LABELS])}{more}"))
    if written.num_rejected:
        below = "" if written.rejected_below is None else f" (score below {figures.score(written.rejected_below)})"
        words = f"  {figures.count(written.num_rejected, 'row')} rejected: the model does not know such texts{below}"
        lines.append(Text(words))
    if rows["empty"]:
        lines.append(Text(f"  {figures.count(rows['empty'], 'row')} without text: no prediction", "yellow"))
    if rows["refused"]:
        column = written.added_columns[-1]
        lines.append(Text(f"  {figures.count(rows['refused'], 'record')} unreadable: see `{column}`", "yellow"))
    if written.num_cut_answers:
        words = f"  {figures.count(written.num_cut_answers, 'answer')} ended by --max-new-tokens"
        lines.append(Text(words, "yellow"))
    if written.truncated_rows:
        cut = figures.count(written.num_truncated_tokens, "token")
        words = f"  {figures.count(written.truncated_rows, 'text')} longer than the model reads: {cut} not read"
        lines.append(Text(words, "yellow"))
    lines += [Text(f"  {figures.shown(note, 300)}", "yellow") for note in written.notes]
    lines.append(Text(f"  {figures.seconds(written.seconds)}", "dim"))
    return Text("\n").join(lines)
