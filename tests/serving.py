"""A real server process whose models are fakes: an answer names its project, version and text, so none can be mixed up.

``python -m tests.serving FOLDER`` serves, on a free port, ``desk@production`` of the projects ``one`` and ``two``; the
version is what ``FOLDER/version`` says, a file that a test may rewrite. Keys are ``key-one`` and ``key-two``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunesmith.core.actor import Actor, Role
from tunesmith.core.errors import LedgerDown, StoreError
from tunesmith.engines.batching import BatchOptions
from tunesmith.lifecycle.deployment import Deployment, Deployments, IsStale, Observer, Served
from tunesmith.lifecycle.model import Prediction
from tunesmith.models.manifest import Rejection
from tunesmith.server.auth import Caller, Door
from tunesmith.server.instruments import Instruments
from tunesmith.server.limits import Limits
from tunesmith.server.service import Service, Truth
from tunesmith.store.records import ModelVersion

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = ("one", "two")


@dataclass
class FakeModel:
    """Answers with its own name and the text; counts what it was asked; breaks on the text ``break``."""

    name: str
    delay_s: float = 0.0
    task: str = "classify"
    labels: tuple[str, ...] = ("yes", "no")
    thresholds: Mapping[str, float] = field(default_factory=dict)
    rejection: Rejection | None = None
    batches: list[int] = field(default_factory=list)
    is_closed: bool = False

    def as_learned(self, texts: Sequence[str]) -> list[str]:
        return list(texts)

    def predict_learned(self, texts: Sequence[str]) -> list[Prediction]:
        assert not self.is_closed, "asked after it was closed"
        if "break" in texts:
            raise RuntimeError("secret detail of the model")
        self.batches.append(len(texts))
        time.sleep(self.delay_s)
        return [
            Prediction(f"{self.name}|{text}", 0.75, None, {"yes": 0.75, "no": 0.25}, num_tokens=3) for text in texts
        ]

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeObserver:
    """Keeps what was observed, and hands out ids that begin with the project."""

    project: str
    rows: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    num_flushed: int = 0
    outcomes: list[str] = field(default_factory=list)

    def record(
        self,
        texts_as_learned: Sequence[str],
        predictions: Sequence[Prediction],
        latency_ms: float,
        subjects: Sequence[str | None] | None,
        key_id: str | None,
    ) -> list[str | None]:
        assert latency_ms >= 0 and len(predictions) == len(texts_as_learned)
        start = len(self.rows)
        self.rows += [
            (one, None if subjects is None else subjects[at], key_id) for at, one in enumerate(texts_as_learned)
        ]
        return [f"{self.project}-{start + at}" for at in range(len(texts_as_learned))]

    def count(self, outcome: str, latency_ms: float) -> None:
        self.outcomes.append(outcome)

    def flush(self, timeout_s: float = 30.0) -> None:
        self.num_flushed = len(self.rows)


class FakeKeys:
    """``key-PROJECT`` of an engineer, ``key-PROJECT-ROLE`` of any role; ``down`` is a ledger out of reach."""

    def __init__(self, projects: Sequence[str] = PROJECTS) -> None:
        self.projects = projects
        self.num_asked = 0

    def find(self, key: str) -> Caller | None:
        self.num_asked += 1
        if key == "key-down":
            raise LedgerDown("the ledger sqlite:///secret/place cannot be used")
        _, project, *rest = [*key.split("-"), ""]
        roles: dict[str, Role] = {one: one for one in ("viewer", "engineer", "approver", "admin")}  # type: ignore[misc]
        if not key.startswith("key-") or project not in self.projects:
            return None
        return Caller(project, Actor(f"user-of-{project}", roles.get(rest[0], "engineer"), f"id-{key}"))


def version_of(number: int, name: str = "desk") -> ModelVersion:
    """A version on record, as the registry would give it."""
    return ModelVersion(name, number, f"{number:064d}", None, "better", datetime.now(UTC), ("production",))


def deployment(
    project: str,
    models: dict[int, FakeModel] | None = None,
    *,
    version: Mapping[str, int] | None = None,
    reference: str = "desk@production",
    options: BatchOptions | None = None,
    delay_s: float = 0.0,
    instruments: Instruments | None = None,
    is_stale: IsStale = lambda version: None,
) -> Deployment:
    """A deployment of fakes; ``version["now"]`` is what its alias means, ``models`` collects what was opened."""
    now = {"now": 1} if version is None else version
    opened = {} if models is None else models
    watcher = FakeObserver(project)

    def open(wanted: ModelVersion) -> tuple[FakeModel, Observer]:
        made = opened.setdefault(wanted.version, FakeModel(f"{project}@{wanted.version}", delay_s))
        return made, watcher

    return Deployment(
        project,
        reference,
        resolve=lambda: version_of(now["now"], reference.partition("@")[0]),
        open=open,
        batching=options,
        on_batch=lambda rows: (instruments or Instruments()).batch_rows.observe(rows),
        is_stale=is_stale,
    )


def service_of(
    deployments: Sequence[Deployment],
    limits: Limits | None = None,
    keys: Any = None,
    instruments: Instruments | None = None,
) -> Service:
    """A service of fakes; feedback knows ids that begin with the caller's project."""

    def feedback(project: str, actor: Actor, id: str, truth: Truth) -> None:
        if not id.startswith(f"{project}-"):
            raise StoreError("there is no such prediction", seen=id)

    def attribute(served: Served, texts: Sequence[str]) -> list[Any]:
        return [[[word, 1.0] for word in text.split()] for text in texts]

    return Service(
        Deployments(deployments, clock=time.monotonic),
        Door(keys or FakeKeys()),
        limits or Limits(),
        feedback,
        attribute,
        instruments=instruments or Instruments(),
    )


@dataclass
class Running:
    """A server process that answers."""

    url: str
    process: subprocess.Popen[str]
    folder: Path

    def set_version(self, number: int) -> None:
        """Move the alias."""
        new = self.folder / "version.new"
        new.write_text(str(number), encoding="utf-8")
        new.replace(self.folder / "version")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def fake_server(
    folder: Path, *, delay_ms: float = 2.0, patience_s: float = 10.0, max_connections: int = 4096
) -> Iterator[Running]:
    """A server of fakes in a process of its own; headers and bodies have ``patience_s`` to come."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "version").write_text("1", encoding="utf-8")
    numbers = [str(one) for one in (delay_ms, patience_s, max_connections)]
    with started([sys.executable, "-m", "tests.serving", str(folder), *numbers], folder) as running:
        yield running


@contextmanager
def started(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
    """The server that a command starts, which says its URL as the ``url`` of one JSON value; killed in the end."""
    log = (folder / "server.log").open("w", encoding="utf-8")
    with (
        log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        ) as process,
    ):
        try:
            yield Running(_told(process)["url"], process, folder)
        finally:
            process.kill()


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        try:
            told: dict[str, Any] = json.loads(said)
            return told
        except json.JSONDecodeError:
            continue
    raise AssertionError(f"the server ended before it answered, with {process.wait(10)}: {said}")


def main(folder: Path, delay_s: float, patience_s: float, max_connections: int) -> None:
    """Serve fakes until a signal."""
    from tunesmith.server.run import answer
    from tunesmith.server.sockets import bound, url_of

    class Version(dict[str, int]):
        def __missing__(self, key: str) -> int:
            return int((folder / "version").read_text(encoding="utf-8"))

    version = Version()
    counts = Instruments()
    made = [deployment(project, version=version, delay_s=delay_s, instruments=counts) for project in PROJECTS]
    limits = Limits(
        requests_per_s=0, header_timeout_s=patience_s, body_timeout_s=patience_s, max_connections=max_connections
    )
    service = service_of(made, limits, instruments=counts)
    service.deployments.watch()
    with bound("127.0.0.1", 0) as listener:
        url = url_of(listener)
        answer(service, listener, None, lambda: print(json.dumps({"url": url}), flush=True))
    service.deployments.close(5)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) / 1000, float(sys.argv[3]), int(sys.argv[4]))
