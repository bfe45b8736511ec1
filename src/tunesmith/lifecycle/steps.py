"""Steps before they run, and the keys they are known by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunesmith.core import digests, wiring
from tunesmith.core.config import Config


@dataclass(frozen=True)
class From:
    """One output of an earlier step."""

    step: str
    output: str


@dataclass(frozen=True)
class StepSpec:
    """One step of a plan: a stage, its config, and where its inputs come from."""

    name: str
    """Unique in the plan: ``ingest:crm``, ``train``."""
    kind: str
    """A stage of the wiring table."""
    config: Config
    given: Mapping[str, From] = field(default_factory=dict)
    fingerprint: str = ""
    """What the step reads from outside the workspace: rows of a source, files of a model."""
    pulls: str = ""
    """The source whose cursor this step moves. It is given what the last pull made, which saves reading and changes no
    result: it is no part of the step's key."""
    held: Mapping[str, str] = field(default_factory=dict)
    """Inputs that were made before this plan, by the name the stage is given them: digests of artifacts."""

    @property
    def wire(self) -> wiring.Wire:
        """The stage's row in the wiring table."""
        return wiring.wire("stage", self.kind)


def step_key(spec: StepSpec, seed: int, input_keys: Mapping[str, str]) -> str:
    """The key a step is known by before anything has run: from the keys of its inputs."""
    return _key("step", spec, seed, input_keys)


def content_key(spec: StepSpec, seed: int, input_digests: Mapping[str, str]) -> str:
    """The key a step is known by once its inputs exist: equal bytes upstream find the same result."""
    return _key("content", spec, seed, input_digests)


def _key(sort: str, spec: StepSpec, seed: int, inputs: Mapping[str, str]) -> str:
    return digests.of_value(
        {
            "sort": sort,
            "stage": spec.kind,
            "version": spec.wire.version,
            "config": spec.config.model_dump(mode="json", exclude=set(type(spec.config).not_in_key)),
            "seed": seed,
            # In their order: of two sources' equal rows the first one's stays.
            "inputs": [list(pair) for pair in inputs.items()],
            "outside": spec.fingerprint,
        }
    )
