"""Where the result comes from and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.reporting import wording
from tunesmith.reporting.view import RunView, StepView


@dataclass(frozen=True)
class StepRow:
    """One step as the table shows it."""

    name: str
    status: str
    key: str
    outputs: tuple[tuple[str, str], ...]
    wall: str
    width: float
    """Per cent of the longest step."""
    cpu: str
    peak: str


@dataclass(frozen=True)
class Lineage:
    """The lineage and cost of a run."""

    steps: tuple[StepRow, ...]
    spent: str
    saved: str
    peak: str
    machine: tuple[tuple[str, str], ...]


def lineage_of(view: RunView) -> Lineage:
    """The lineage and cost of a run."""
    longest = max((_wall(step) for step in view.steps), default=0.0) or 1.0
    spent = sum(_wall(step) for step in view.steps if step.status != "cached")
    saved = sum(_wall(step) for step in view.steps if step.status == "cached")
    peaks = [step.cost["peak_bytes"] for step in view.steps if "peak_bytes" in step.cost]
    hardware = view.hardware
    machine = [
        ("Processor", f"{hardware.get('processor', 'unknown')}, {hardware.get('cores', '?')} cores"),
        ("Memory", wording.size(hardware.get("memory_bytes"))),
        ("System", f"{hardware.get('system', 'unknown')}, Python {hardware.get('python', '?')}"),
        *((name, version) for name, version in view.versions.items()),
    ]
    return Lineage(
        steps=tuple(_row(step, longest) for step in view.steps),
        spent=wording.seconds(spent),
        saved=wording.seconds(saved) if saved else "",
        peak=wording.size(max(peaks, default=None)),
        machine=tuple(machine),
    )


def _row(step: StepView, longest: float) -> StepRow:
    return StepRow(
        name=step.name,
        status=step.status,
        key=step.key,
        outputs=tuple(step.outputs.items()),
        wall=wording.seconds(step.cost.get("wall_s")),
        width=round(100 * _wall(step) / longest, 2),
        cpu=wording.seconds(step.cost.get("cpu_s")),
        peak=wording.size(step.cost.get("peak_bytes")),
    )


def _wall(step: StepView) -> float:
    return float(step.cost.get("wall_s", 0.0))
