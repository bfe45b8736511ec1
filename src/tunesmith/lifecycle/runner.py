"""Runs the steps of a plan in order; a step whose key is known is not run again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tunesmith.core import machine, wiring
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.config import Config
from tunesmith.core.errors import Interrupted
from tunesmith.core.events import Event, EventLog
from tunesmith.core.stage import Given
from tunesmith.lifecycle.context import Context
from tunesmith.lifecycle.executors.child import run_child
from tunesmith.lifecycle.executors.inprocess import Done, run_stage
from tunesmith.lifecycle.steps import From, StepSpec, content_key, step_key
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.ledger import Ledger
from tunesmith.store.records import CursorMove
from tunesmith.store.workspace import Workspace

Outputs = dict[str, Artifact]
Status = Literal["cached", "to run", "unknown"]


@dataclass(frozen=True)
class _Work:
    """A step with its inputs at hand."""

    spec: StepSpec
    key: str
    content: str
    given: Mapping[str, Artifact]


class Runner:
    """Carries out steps for one run; the only writer of the ledger."""

    def __init__(
        self,
        workspace: Workspace,
        ledger: Ledger,
        *,
        seed: int,
        listener: Callable[[Event], None],
        is_cancelled: Callable[[], bool] = lambda: False,
        run_id: str | None = None,
    ) -> None:
        self.workspace, self.ledger = workspace, ledger
        self.store = ArtifactStore(workspace, ledger)
        self.seed, self.run_id = seed, run_id
        self.listener, self.is_cancelled = listener, is_cancelled
        self.results: dict[str, Outputs] = {}
        self.keys: dict[str, str] = {}

    def run(self, specs: Sequence[StepSpec]) -> dict[str, Outputs]:
        """What each step made, by step name.

        Raises: what a step raised; the steps before it stay done, and the next run goes on from there.
        """
        self.keys |= self.keys_of(specs)
        for position, spec in enumerate(specs):
            if self.is_cancelled():
                raise Interrupted(f"interrupted before the step `{spec.name}`")
            self._record(position, spec, "running")
            try:
                outputs, is_cached = self._one(spec)
            except Interrupted:
                self._record(position, spec, "interrupted")
                raise
            except BaseException:
                self._record(position, spec, "failed")
                raise
            self._record(position, spec, "cached" if is_cached else "done")
            self.results[spec.name] = outputs
        return self.results

    def keys_of(self, specs: Sequence[StepSpec]) -> dict[str, str]:
        """The step key of each step, known before anything has run."""
        keys: dict[str, str] = {}
        for spec in specs:
            inputs = {name: f"{keys[one.step]}/{one.output}" for name, one in spec.given.items()}
            keys[spec.name] = step_key(spec, self.seed, inputs | dict(spec.held))
        return keys

    def status_of(self, spec: StepSpec) -> Status:
        """Whether a step would run, from what is known now; ``unknown`` until the bytes of its inputs exist."""
        if self.store.knows(self.keys[spec.name]):
            return "cached"
        given = self._given(spec)
        if given is None:
            return "unknown"
        return "cached" if self._known_content(spec, given) is not None else "to run"

    def _one(self, spec: StepSpec) -> tuple[Outputs, bool]:
        key = self.keys[spec.name]
        found = self.store.find(key)
        if found is not None:
            return found, True
        given = self._given(spec)
        assert given is not None, "steps are in the order of their inputs"
        content = content_key(spec, self.seed, {name: one.digest for name, one in given.items()})
        return self._perform(_Work(spec, key, content, given))

    def _perform(self, work: _Work) -> tuple[Outputs, bool]:
        folder = self.workspace.step_folder(work.content)

        def waiting() -> None:
            self.listener({"event": "step", "step": work.spec.name, "status": "waiting"})

        # Two runs that need the same step: one does it, the other waits and takes the result.
        with self.workspace.lock(folder / "lock"), self.ledger.claim(work.content, self.is_cancelled, waiting):
            same = self.ledger.find_content(work.content)
            if same is not None and self.store.knows(same):
                if same != work.key:
                    self.ledger.alias_step(work.key, same)
                found = self.store.find(work.key)
                if found is not None:
                    return found, True
            return self._execute(work, folder), False

    def _execute(self, work: _Work, folder: Path) -> Outputs:
        spec, started = work.spec, datetime.now(UTC)
        before, last = self.store.before(spec.pulls) if spec.pulls else (None, {})
        done = self._run_stage(replace(work, given={**work.given, **last}), folder)
        made_by = MadeBy(
            step_key=work.key,
            stage=spec.kind,
            seed=self.seed,
            versions=machine.versions(),
            hardware=machine.hardware(),
            cost=done.cost,
        )
        kinds: Mapping[str, str] = wiring.load(spec.wire.make).makes
        outputs = {name: (kinds[name], done.facts[name]) for name in kinds}
        parents = tuple(dict.fromkeys(one.digest for one in work.given.values()))
        saved = self.store.save_step(
            work.key,
            work.content,
            spec.kind,
            folder / "out",
            outputs,
            made_by,
            parents,
            run_id=self.run_id,
            name=spec.name,
            started=started,
            moves=CursorMove(spec.pulls, spec.name, before) if spec.pulls else None,
        )
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        shutil.rmtree(folder / "out", ignore_errors=True)
        return saved

    def _run_stage(self, work: _Work, folder: Path) -> Done:
        spec = work.spec

        def tell(event: Event) -> None:
            self.listener({**event, "step": spec.name})

        if spec.wire.is_heavy or spec.wire.interpreter:
            return run_child(
                spec.wire,
                spec.config,
                work.given,
                folder=folder,
                workspace=self.workspace,
                seed=self.seed,
                listener=tell,
                is_cancelled=self.is_cancelled,
            )
        events = EventLog(folder / "events.jsonl", tell)
        context = Context(
            workspace=self.workspace,
            folder=folder,
            seed=self.seed,
            events=events,
            is_cancelled=self.is_cancelled,
            run_step=lambda kind, config, given: self._nested(spec, kind, config, given),
        )
        try:
            return run_stage(spec.wire, spec.config, work.given, context)
        finally:
            events.close()

    def _nested(self, parent: StepSpec, kind: str, config: Config, given: Given) -> Outputs:
        """A step that a running stage asked for: known by the bytes of its inputs from the start."""
        return self.on(f"{parent.name}/{kind}", kind, config, given)

    def on(self, name: str, kind: str, config: Config, given: Given) -> Outputs:
        """What a step makes of artifacts that are at hand, known by their bytes."""
        spec = StepSpec(name, kind, config)
        content = content_key(spec, self.seed, {name: one.digest for name, one in given.items()})
        found = self.store.find(content)
        return found if found is not None else self._perform(_Work(spec, content, content, given))[0]

    def _given(self, spec: StepSpec) -> dict[str, Artifact] | None:
        given: dict[str, Artifact] = {}
        for name, source in spec.given.items():
            outputs = self.results.get(source.step) or self._cached(source)
            if outputs is None:
                return None
            given[name] = outputs[source.output]
        return given | {name: self.store.load(digest) for name, digest in spec.held.items()}

    def _cached(self, source: From) -> Outputs | None:
        key = self.keys.get(source.step)
        return None if key is None else self.store.find(key)

    def _known_content(self, spec: StepSpec, given: Given) -> str | None:
        content = content_key(spec, self.seed, {name: one.digest for name, one in given.items()})
        same = self.ledger.find_content(content)
        return same if same is not None and self.store.knows(same) else None

    def _record(
        self, position: int, spec: StepSpec, status: Literal["running", "cached", "done", "failed", "interrupted"]
    ) -> None:
        if self.run_id is not None:
            self.ledger.set_run_step(self.run_id, position, spec.name, self.keys[spec.name], status)
        self.listener({"event": "step", "step": spec.name, "status": status})
