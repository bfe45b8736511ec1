"""A server process for the demo: started on a free port, asked one question, and stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import httpx

from tunesmith.core.errors import StepError

ANSWER_S, STOP_S = 120.0, 40.0
KEY_NAME = "demo"


def asked(model: str, home: Path | None, project: str, question: str) -> dict[str, Any]:
    """The answer of ``/v1/predict``, attribution included, by ``tunesmith serve`` in a process of its own.

    Raises: StepError where the server does not come up or does not answer.
    """
    where = [*([] if home is None else ["--home", str(home)]), "--project", project]
    command = [sys.executable, "-m", "tunesmith.cli.main", "serve", model, "--port", "0", "--json", "--quiet", *where]
    with (
        # A file takes whatever the server says; a pipe that nobody reads would hold it up in the end.
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as server,
    ):
        try:
            started = _started(server, said)
            with httpx.Client(base_url=started["url"], timeout=ANSWER_S) as client:
                headers = {"Authorization": f"Bearer {_key(home, project)}"}
                answer = client.post(
                    "/v1/predict", json={"model": model, "texts": [question], "attribution": True}, headers=headers
                )
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
    if answer.status_code != httpx.codes.OK:
        raise StepError("the demo's server did not answer", seen=f"{answer.status_code}: {answer.text[:300]}")
    found: dict[str, Any] = answer.json()
    return found


def _started(server: subprocess.Popen[str], said: IO[str]) -> dict[str, Any]:
    """What the server says of itself once it answers."""
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line)
        if line.rstrip() == "}":
            told: dict[str, Any] = json.loads("".join(lines))
            return told
    said.seek(0)
    raise StepError("the demo's server did not start", seen=said.read()[-600:])


def _key(home: Path | None, project: str) -> str:
    """A key that only reads, made for this question."""
    from tunesmith import api

    where: dict[str, Any] = {"home": home, "project": project}
    if KEY_NAME not in {one.name for one in api.users(**where)}:
        api.add_user(KEY_NAME, "viewer", **where)
    return api.make_key(KEY_NAME, datetime.now(UTC) + timedelta(days=1), **where).key
