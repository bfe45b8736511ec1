"""``serve``: models opened, a port bound, requests answered until a signal, and everything written at the end."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import select

from tunesmith.core.errors import RecipeError, StoreError
from tunesmith.engines.batching import BatchOptions
from tunesmith.governance.access import require
from tunesmith.lifecycle.deploy import Precision, deploy
from tunesmith.lifecycle.deployment import Deployment, Deployments
from tunesmith.lifecycle.monitor import gauges
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.server import watching
from tunesmith.server.app import LOOPBACK, create_app
from tunesmith.server.auth import Door
from tunesmith.server.drain import IN_FLIGHT_S, DrainingServer
from tunesmith.server.instruments import Instruments
from tunesmith.server.keys import LedgerKeys, made_keys, require_keys
from tunesmith.server.limits import Limits
from tunesmith.server.patience import patient
from tunesmith.server.service import Service
from tunesmith.server.sockets import bound, is_loopback, make_room, url_of
from tunesmith.store import erasures
from tunesmith.store.database import reading
from tunesmith.store.tables import PROJECTS

log = logging.getLogger(__name__)
CLOSE_S = 8.0
"""How long the last batches may take once no request is open any more."""


@dataclass(frozen=True)
class Started:
    """What a server that answers tells."""

    url: str
    models: dict[str, str]
    """The version that answers, by reference."""
    owner_keys: dict[str, str] = field(default_factory=dict)
    """Keys that were made because a project had none, by project: shown now, and never again."""
    key_files: dict[str, str] = field(default_factory=dict)
    """Where each of them was written, for its owner's eyes alone."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class ServeOptions:
    """Where and how to serve."""

    host: str = "127.0.0.1"
    port: int = 8080
    limits: Limits = field(default_factory=Limits)
    batching: BatchOptions = field(default_factory=BatchOptions)
    precision: Precision = "float32"


def serve(
    references: Sequence[str],
    options: ServeOptions | None = None,
    *,
    home: Path | str | None = None,
    project: str = "default",
    announce: Callable[[Started], None] = lambda started: None,
) -> None:
    """Serve models until SIGTERM or SIGINT; ``announce`` is told once requests are answered.

    A reference is ``name@alias``, or ``project/name@alias`` of another project than ``project``.

    Raises: RecipeError for a public bind without keys, StoreError for unknown models, TunesmithError for a taken port.
    """
    options = options or ServeOptions()
    wanted = by_project(references, project)
    with ExitStack() as stack:
        sessions = {one: stack.enter_context(open_session(home, one, may_begin=False)) for one in wanted}
        for session in sessions.values():
            require(session.actor, "predict")
        is_local = is_loopback(options.host)
        if not is_local:
            require_keys(sessions)
        listener = stack.enter_context(bound(options.host, options.port))
        instruments = Instruments()
        deployments = Deployments(
            [
                _deployed(sessions[one], reference, options, instruments)
                for one, named in wanted.items()
                for reference in named
            ],
            clock=time.monotonic,
        )
        service = Service(
            deployments,
            Door(LedgerKeys(sessions)),
            options.limits,
            feedback=watching.feedback_of(sessions, deployments),
            attribute=watching.attribute,
            checks=lambda one: gauges(sessions[one]),
            instruments=instruments,
        )
        new_keys = made_keys(sessions)  # not before: a server that cannot begin makes no admin
        told = Started(
            url_of(listener),
            {
                f"{one.project}/{one.reference}" if len(wanted) > 1 else one.reference: one.current.reference
                for one in deployments.all
            },
            {one: key for one, (key, _) in new_keys.items()},
            {one: str(file) for one, (_, file) in new_keys.items()},
        )
        deployments.watch(_Reach(sessions, service.cache.clear).check)
        try:
            answer(service, listener, LOOPBACK if is_local else None, lambda: announce(told))
        finally:
            deployments.close(CLOSE_S)


def by_project(references: Sequence[str], project: str) -> dict[str, list[str]]:
    """References without their project, by project, in their order and each once.

    Raises: RecipeError where there is none.
    """
    found: dict[str, list[str]] = {}
    for reference in references:
        owner, slash, rest = reference.partition("/")
        named = found.setdefault(owner if slash else project, [])
        wanted = rest if slash else reference
        if wanted not in named:
            named.append(wanted)
    if not found:
        raise RecipeError("no model was named", next="tunesmith serve NAME@production")
    return found


def _deployed(session: Session, reference: str, options: ServeOptions, instruments: Instruments) -> Deployment:
    return deploy(
        session,
        reference,
        batching=options.batching,
        on_batch=lambda rows: instruments.batch_rows.observe(rows),
        observe=lambda version: watching.observer(session, version),
        precision=options.precision,
    )


def answer(
    service: Service, listener: socket.socket, hosts: frozenset[str] | None, on_start: Callable[[], None]
) -> None:
    """Answer requests on a bound socket until a signal; ``hosts`` are the Host headers that are answered, None: any."""
    make_room(service.limits.max_connections)
    app = create_app(service, hosts=hosts)
    config = uvicorn.Config(
        app,
        http=patient(service.limits),
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        # Longer than clients keep idle connections: whoever closes first decides whether a request can be lost.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=IN_FLIGHT_S,
    )
    DrainingServer(config, service, on_start).run(sockets=[listener])


class _Reach:
    """Asks whether the ledgers are there, and whether somebody was erased: then no answer is given from memory."""

    def __init__(self, sessions: Mapping[str, Session], forget: Callable[[], None] = lambda: None) -> None:
        self._sessions, self._forget = sessions, forget
        self._erased: dict[str, tuple[str, ...]] = {}

    def check(self) -> None:
        """Ask each ledger for its project.

        Raises: StoreError where one is out of reach.
        """
        for project, session in self._sessions.items():
            with reading(session.ledger.engine) as connection:
                if connection.execute(select(PROJECTS.c.id).where(PROJECTS.c.id == project)).scalar() is None:
                    raise StoreError("the ledger has lost the project", seen=project)
            erased = erasures.subjects(session.ledger.engine, project)
            if self._erased.setdefault(project, erased) != erased:
                self._erased[project] = erased
                self._forget()
