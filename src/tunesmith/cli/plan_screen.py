"""A plan, as a screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.plan_conversations import read_as
from tunesmith.cli.plan_preparation import preparation
from tunesmith.cli.plan_texts import texts
from tunesmith.cli.plan_tokens import tokens
from tunesmith.cli.tables import table

if TYPE_CHECKING:
    from tunesmith.lifecycle.planned import Plan

MOST_LABELS = 15
BAR_CELLS = 24
STATES = {"cached": "cyan", "done": "green", "to run": "bold", "unknown": "bold"}
LENGTH_COLUMNS = ("min", "median", "p95", "max")


def shown(plan: Plan, next_command: str | None = None) -> list[RenderableType]:
    """Sources, rows, splits, labels, lengths, model and steps; then the command that carries it out."""
    lines: list[RenderableType] = [Text.assemble((figures.shown(plan.recipe), "bold"), f"  {plan.task}\n")]
    lines += [
        *_sources(plan),
        _rows(plan),
        *_lost(plan),
        *preparation(plan.rows),
        *_privacy(plan),
        *_splits(plan),
        *_labels(plan),
    ]
    lines += [_lengths(plan), *_length_notes(plan)]
    lines += texts(plan.texts)
    for number, facts in enumerate(plan.tokens, 1):
        lines += tokens(facts, "tokens" if len(plan.tokens) == 1 else f"phase {number}")
    lines += [*_model(plan), *_candidates(plan), _steps(plan), _total(plan)]
    if next_command is not None:
        lines.append(Text.assemble("next: ", (next_command, "bold")))
    return lines


def _sources(plan: Plan) -> list[Text]:
    lines = []
    for one in plan.sources:
        name, form = figures.shown(one["source"]), figures.shown(one["format"])
        words = f"  {form} · {figures.count(one['rows_read'], 'row')} · columns {', '.join(one['columns'])}"
        lines.append(Text.assemble((f"{name:<12}", "bold"), words))
        more = [f"purpose {one['purpose']}", f"licence {one['licence']}"]
        lines.append(Text(f"{'':<14}{figures.shown(', '.join(more), 200)}", "dim"))
        lines += read_as(one)
        if "pulled" in one:
            lines.append(Text(f"{'':<14}{figures.shown(pulled(one['pulled']), 200)}", "dim"))
        lines += [Text(f"{'':<14}{figures.shown(note, 300)}", "yellow") for note in one["notes"]]
    return lines


def pulled(counts: Mapping[str, Any]) -> str:
    """What the newest pull of a source brought, on one line."""
    names = ("new", "replaced", "deleted", "unchanged", "marked_deleted")
    numbers = [f"{counts[name]:,} {name.replace('_', ' as ')}" for name in names if counts[name] or name == "new"]
    return f"read {counts['how']} ({figures.count(counts['read'], 'row')}): {', '.join(numbers)}"


def _rows(plan: Plan) -> Table:
    columns = ("read", "kept", "removed", "quarantined")
    made = table("rows", *columns)
    for source, numbers in plan.rows["by_source"].items():
        made.add_row(figures.shown(source), *(f"{numbers[name]:,}" for name in columns))
    made.add_row("all", *(f"{plan.rows['rows'][name]:,}" for name in columns), style="bold")
    return made


def _lost(plan: Plan) -> list[Text]:
    facts = plan.rows
    counted = {what: {why: n for why, n in facts[what].items() if n} for what in ("removed", "quarantined", "repaired")}
    lines = [
        Text.assemble((f"{what:<12}", "bold"), f"  {figures.counts(counts)}")
        for what, counts in counted.items()
        if counts
    ]
    notes = dict.fromkeys((*facts["notes"], *plan.quality.get("notes", ())))
    return lines + [Text(f"{'':<14}{figures.shown(note, 300)}", "yellow") for note in notes]


def _privacy(plan: Plan) -> list[Text]:
    found: dict[tuple[str, str], int] = {}
    for scan in plan.privacy:
        for one in scan["found"]:
            found[one["entity"], one["action"]] = found.get((one["entity"], one["action"]), 0) + one["values"]
    if not plan.privacy:
        return []
    if not found:
        return [Text.assemble(("privacy     ", "bold"), "  no personal data found")]
    actions = list(dict.fromkeys(action for _, action in found))
    kinds = [", ".join(f"{entity} {n:,}" for (entity, one), n in found.items() if one == action) for action in actions]
    words = "; ".join(f"{action}: {kind}" for action, kind in zip(actions, kinds, strict=True))
    num_rows = sum(scan["rows_found"] for scan in plan.privacy)
    lines = [Text.assemble(("privacy     ", "bold"), f"  {words} (in {figures.count(num_rows, 'row')})")]
    if any(action == "allow" for _, action in found):
        lines.append(Text(f"{'':<14}`data: {{privacy: redact}}` takes out what is allowed now", "yellow"))
    return lines


def _splits(plan: Plan) -> list[Text]:
    numbers = " · ".join(f"{name} {number:,}" for name, number in plan.rows["splits"].items())
    return [
        Text.assemble(("splits      ", "bold"), f"  {numbers}"),
        Text(f"{'':<14}{figures.shown(plan.rows['split_by'], 300)}", "dim"),
    ]


def _labels(plan: Plan) -> list[Text]:
    target: Mapping[str, Any] | None = plan.rows.get("target")
    if target is not None:
        words = ", ".join(f"{name} {figures.score(value)}" for name, value in target.items())
        return [Text.assemble(("target      ", "bold"), f"  {words}")]
    if plan.rows.get("scale"):
        return _targets(plan.rows["scale"])
    by_split = plan.rows["label_counts"]
    totals = {label: sum(by_split[split].get(label, 0) for split in by_split) for label in plan.rows["labels"]}
    ordered = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    if not ordered:
        return []
    largest, smallest = ordered[0][1], ordered[-1][1]
    balance = f"  {len(ordered)}, from {smallest:,} to {largest:,} rows (train/validation/test)"
    lines = [Text.assemble(("labels      ", "bold"), balance)]
    # Of many labels, the rare ones are the ones to know about.
    kept = ordered if len(ordered) <= MOST_LABELS else [*ordered[: MOST_LABELS // 2], *ordered[-(MOST_LABELS // 2) :]]
    width = max(len(figures.shown(label, 28)) for label, _ in kept)
    for place, (label, number) in enumerate(kept):
        if len(kept) < len(ordered) and place == MOST_LABELS // 2:
            lines.append(Text(f"{'':<14}… {len(ordered) - len(kept)} labels more", "dim"))
        bar = "█" * max(1, round(BAR_CELLS * number / largest))
        parts = "/".join(f"{by_split[split].get(label, 0):,}" for split in by_split)
        name = figures.shown(label, 28)
        lines.append(Text.assemble(f"{'':<14}{name:<{width}}  ", (bar, "cyan"), f" {number:,} ", (f"({parts})", "dim")))
    return lines


def _targets(scale: Mapping[str, Mapping[str, float]]) -> list[Text]:
    """Several targets, each with its spread among the training rows."""
    width = max(len(figures.shown(name, 28)) for name in scale)
    lines = [Text.assemble(("targets     ", "bold"), f"  {len(scale)}, in the training rows:")]
    for name, spread in scale.items():
        words = ", ".join(f"{what} {figures.score(value)}" for what, value in spread.items())
        lines.append(Text(f"{'':<14}{figures.shown(name, 28):<{width}}  {words}"))
    return lines


def _lengths(plan: Plan) -> Table:
    made = table("tokens a text", *LENGTH_COLUMNS, "all", "too long", "tokens lost")
    for name, one in plan.lengths["splits"].items():
        quantiles = [f"{one['quantiles'].get(column, 0):,}" for column in LENGTH_COLUMNS]
        lost = Text(f"{one['tokens_lost']:,}", "yellow" if one["tokens_lost"] else "")
        about = "about " if one["is_estimated"] else ""
        made.add_row(name, *quantiles, f"{about}{one['tokens']:,}", f"{about}{one['too_long_rows']:,}", lost)
    return made


def _length_notes(plan: Plan) -> list[Text]:
    policy = str(plan.lengths["policy"]).replace("_", " ")
    lines = [Text(f"{'':<14}at most {plan.lengths['max_tokens']:,} tokens are read; longer texts: {policy}", "dim")]
    for source, lost in plan.lengths["lost_by_source"].items():
        words = f"{figures.count(lost['rows'], 'text')}, {figures.count(lost['tokens'], 'token')} beyond that"
        lines.append(Text(f"{'':<14}{figures.shown(source)}: {words}", "yellow"))
    return lines


def _trainable(settings: Mapping[str, Any]) -> str:
    kind = str(settings["kind"])
    more = {"top_layers": "layers", "lora": "rank"}.get(kind)
    return kind if more is None else f"{kind} ({more} {settings[more]})"


def _rate(lr: float | str) -> str:
    return "found by a range test" if isinstance(lr, str) else f"{lr:g}"


def _model(plan: Plan) -> list[Text]:
    base, settings = plan.base, plan.settings
    optimizer = settings["optimizer"]
    epochs = f"{settings['epochs']:g} epochs"
    if settings["max_steps"] is not None:
        epochs += f", at most {settings['max_steps']:,} steps"
    learns = [
        _trainable(settings["trainable"]),
        f"{optimizer['kind']} lr {_rate(optimizer['lr'])}",
        f"batch {settings['batch']}",
        epochs,
        f"precision {settings['precision']}",
    ]
    about = f"{base['model_type']}, {base['num_parameters'] / 1e6:.1f} M parameters, reads {base['max_tokens']} tokens"
    return [
        Text.assemble(("\nmodel       ", "bold"), f"  {figures.shown(base['name'])} ({about})"),
        *origin(base),
        Text.assemble(("training    ", "bold"), f"  {' · '.join(learns)}"),
    ]


def origin(base: Mapping[str, Any]) -> list[Text]:
    """The commit of a model of the Hub; the base of one that this workspace trained."""
    lines = [f"commit {base['commit']}"] if "commit" in base else []
    if (parent := base.get("parent")) is not None:
        how = "its adapter added into the weights of" if parent["is_merged"] else f"{parent['trainable']} trained over"
        lines.append(f"goes on from {parent['model']} (task {parent['task']}): {how} {parent['base']['name']}")
    return [Text(f"{'':<14}{figures.shown(line, 200)}", "dim") for line in lines]


def _candidates(plan: Plan) -> list[RenderableType]:
    """The models that a run will rank; the forecasts above and below are with the largest until one is chosen."""
    ranked = plan.candidates.get("models", [])
    if not ranked:
        return []
    made = table("models to rank", "parameters", "reads", "size", "training", "memory")
    for one in ranked:
        time, memory = figures.seconds(one["training"]["seconds"]), figures.size(one["training"]["peak_bytes"])
        parameters, reads = f"{one['num_parameters'] / 1e6:.1f} M", f"{one['max_tokens']:,} tokens"
        made.add_row(
            figures.shown(one["name"]), parameters, reads, figures.size(one["size_bytes"]), f"about {time}", memory
        )
    absent = [Text(f"{'':<14}{one['name']}: {one['why']} ({one['fetch']})", "dim") for one in plan.candidates["absent"]]
    return [made, *absent]


def _steps(plan: Plan) -> Table:
    made = table("step", "state", "time", "memory", "from")
    made.columns[-1].justify = "left"
    for column in made.columns[:-1]:
        column.no_wrap = True
    for step in plan.steps:
        forecast = step.forecast
        state = Text("to run" if step.status == "unknown" else step.status, STATES.get(step.status, ""))
        if forecast is None:
            made.add_row(step.name, state, "–", "–", "")
            continue
        time, memory = f"about {figures.seconds(forecast['seconds'])}", figures.size(forecast["peak_bytes"])
        made.add_row(step.name, state, time, memory, Text(forecast["basis"], "dim"))
    return made


def _total(plan: Plan) -> Text:
    if not plan.total["seconds"]:
        return Text.assemble(("everything is done already", "bold green"), ": a run takes it over")
    time, memory = figures.seconds(plan.total["seconds"]), figures.size(plan.total["peak_bytes"])
    unknown = [one for one in plan.steps if one.forecast is None and one.status not in ("cached", "done")]
    more = f", and what {figures.count(len(unknown), 'step')} without a forecast will take" if unknown else ""
    return Text.assemble(
        "a run takes ", (f"about {time}", "bold"), " and ", (f"{memory}", "bold"), " of memory here", more
    )
