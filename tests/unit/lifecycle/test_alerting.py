"""Who is told of an alert by checks that are made again and again, by a receiver on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tunesmith.lifecycle import alerting
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.monitoring.alerts import Alert, Cause, Delivery
from tunesmith.monitoring.config import WebhookConfig

WEBHOOK = WebhookConfig(url="${env:ALERT_URL}", token="${env:ALERT_TOKEN}", allow_private=True, retries=0)
BEGUN = datetime.now(UTC)


class Receiver(BaseHTTPRequestHandler):
    """Answers with the next of ``statuses``, 200 once there are none left."""

    statuses: list[int]
    taken: list[list[str]]

    def do_POST(self) -> None:
        """Keep the names of the causes."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken.append([one["name"] for one in body["causes"]])
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Receiver]]:
    Receiver.statuses, Receiver.taken = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("ALERT_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("ALERT_TOKEN", "s" * 32)
    yield Receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with open_session(tmp_path / "home") as opened:
        yield opened


def check(
    session: Session, folder: Path, *names: str, minutes: int = 0, file: str | None = None
) -> tuple[Delivery | None, str | None]:
    """One check that finds causes of these names, so many minutes from now."""
    now = BEGUN + timedelta(minutes=minutes)
    causes = tuple(Cause("drift", name, f"{name} changed", 0.001, 0.01) for name in names)
    before = alerting.logged(folder)
    told = alerting.told_lately(before, causes, WEBHOOK, now, file)
    alert = Alert("m@1", "default", now.isoformat(timespec="seconds"), 80, causes, "monitor.html")
    primary = {"metric": "f1_macro", "value": 0.5}
    given = alerting.record(
        session, alert, WEBHOOK, folder, file=file, primary=primary, is_tested=True, is_told=told is not None
    )
    return given, told


def test_a_cause_is_told_once_in_a_day_and_a_new_one_at_once(
    session: Session, receiver: type[Receiver], tmp_path: Path
) -> None:
    for minutes in range(0, 60, 15):
        check(session, tmp_path, "digits", minutes=minutes)
    assert receiver.taken == [["digits"]]
    assert check(session, tmp_path, "digits", "language", minutes=60) == (Delivery(True, 1), None)
    for minutes, names in ((75, ["language"]), (90, ["digits", "language"]), (105, []), (120, ["digits"])):
        given, told = check(session, tmp_path, *names, minutes=minutes)
        assert given is None and (told is not None) == bool(names)
    assert receiver.taken == [["digits"], ["digits", "language"]]
    _, told = check(session, tmp_path, "digits", minutes=24 * 60 - 1)
    assert told is not None and "told of this at" in told and "after 1d" in told
    assert check(session, tmp_path, "digits", minutes=24 * 60 + 2)[0] == Delivery(True, 1)


def test_what_nobody_took_is_told_at_the_next_check(session: Session, receiver: type[Receiver], tmp_path: Path) -> None:
    receiver.statuses = [500, 503, 302, 404]
    given = [check(session, tmp_path, "digits", minutes=minutes)[0] for minutes in range(6)]
    assert [one and one.is_taken for one in given] == [False, False, False, False, True, None]
    assert receiver.taken == [["digits"]]


def test_a_file_and_what_is_captured_are_told_apart(session: Session, receiver: type[Receiver], tmp_path: Path) -> None:
    for file in (None, "a.csv", "b.csv", "a.csv", None):
        check(session, tmp_path, "digits", file=file)
    assert receiver.taken == [["digits"]] * 3


def test_the_log_has_every_check_and_a_broken_line_is_passed_over(session: Session, tmp_path: Path) -> None:
    assert alerting.checks(alerting.logged(tmp_path)) == []
    for minutes in range(alerting.SHOWN_CHECKS + 5):
        check(session, tmp_path, minutes=minutes)
    with (tmp_path / alerting.EVENTS).open("a", encoding="utf-8") as stream:
        stream.write('{"event": "check", "ha')
    found = alerting.checks(alerting.logged(tmp_path))
    assert len(found) == alerting.SHOWN_CHECKS and found[0]["rows"] == 80 and found[0]["causes"] == []
    assert found[0]["at"] > found[-1]["at"] and found[0]["score"] == {"metric": "f1_macro", "value": 0.5}
