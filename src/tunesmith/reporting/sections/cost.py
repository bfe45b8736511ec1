"""What an answer costs: time, size, memory, on the machine it was measured on."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.reporting import wording
from tunesmith.reporting.view import RunView

BUSY = 0.7
"""As the measurement warns."""


@dataclass(frozen=True)
class Cost:
    """What the part shows."""

    words: str
    facts: tuple[tuple[str, str], ...]


def cost_of(view: RunView) -> Cost | None:
    """The cost of a run's model; None where it was not measured."""
    seen = view.made.get("cost", {}).get("cost")
    if not seen:
        return None
    latency, machine = seen["latency_ms"], seen["machine"]
    words = (
        f"One text is answered in {_ms(latency['p50'])} (half of them), and 95 of 100 within {_ms(latency['p95'])}: "
        f"{wording.counted(latency['num_answers'], 'answer')} one after the other after {latency['warm_up']} to warm "
        f"up, on {machine['processor']} with {wording.counted(machine['cores'], 'core')}. Texts sent together are "
        "answered faster than that each."
    )
    if seen["running"] < BUSY:
        words += (
            f" The machine was busy with other work: this process ran for only {wording.share(seen['running'])} of "
            "that time, so on an idle one answers come faster."
        )
    facts = (
        ("Median of single answers", _ms(latency["p50"])),
        ("95th percentile", _ms(latency["p95"])),
        ("Files that an answer needs", wording.size(seen["size_bytes"])),
        ("Weights among them", wording.size(seen["weights_bytes"])),
        ("Memory of the answering process, at most", wording.size(seen["peak_bytes"])),
        ("Length of the timed texts", f"median {wording.count(seen['chars']['median'])} characters"),
    )
    return Cost(words, facts)


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
