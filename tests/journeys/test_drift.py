"""Drift on real texts: windows drawn from what a model learned from and from elsewhere; from capture to alert."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from tests import tiny
from tests.journeys.drift_draws import Pool, check, prepared, write_learned_and_held

from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.lifecycle.capture import capture_of
from tunesmith.lifecycle.feedback import feedback
from tunesmith.lifecycle.model import open_head
from tunesmith.lifecycle.monitor import gauges
from tunesmith.lifecycle.session import open_session
from tunesmith.monitoring.config import DriftConfig
from tunesmith.monitoring.drift import Columns
from tunesmith.texts.repair import repair_texts

pytestmark = pytest.mark.slow
DRAWS, SIZE = 100, 300
SECRET = "a-secret-of-the-receiver"


def test_draws_from_what_was_learned_and_from_elsewhere(shared_data: Path, tmp_path: Path) -> None:
    """At most 3 of 100 windows of held-out training rows alert, and 100 of 100 of another company's texts."""
    held = write_learned_and_held(shared_data / "banking77" / "train.csv", tmp_path, 7000)
    file = "Bitext_Sample_Customer_Service_Training_Dataset.csv"
    other = pl.read_csv(shared_data / "bitext_support_intents" / file, infer_schema=False)["utterance"].to_list()
    source = {"kind": "csv", "path": str(tmp_path / "learn.csv"), "columns": {"text": "text", "label": "category"}}
    recipe = {
        "name": "banking",
        "task": "classify",
        "data": {"sources": [source]},
        "train": {"trainable": "head"},
        "evaluate": {"baselines": ["majority"]},
        "gate": {},
    }
    home = tmp_path / "home"
    api.run(recipe, home=home)
    texts = [repair_texts(one, unicode=True, whitespace=True) for one in (held, other[:2000])]
    with open_session(home) as session:
        reference, (same, shifted) = prepared(session, "banking@production", texts)
    assert num_alerts(reference, same) <= 3
    assert num_alerts(reference, shifted) == DRAWS


def num_alerts(reference: Columns, pool: Pool) -> int:
    config = DriftConfig(permutations=2000)
    num = 0
    for draw in range(DRAWS):
        places = np.random.default_rng([7, SIZE, draw]).permutation(pool.num)[:SIZE]
        num += any(one.is_alert for one in check(reference, pool.window(places), config, draw))
    return num


class Receiver(BaseHTTPRequestHandler):
    taken: ClassVar[list[tuple[str, str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.headers["X-Tunesmith-Timestamp"], self.headers["X-Tunesmith-Signature"], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def receiver() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    Receiver.taken.clear()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/alerts"
    server.shutdown()
    server.server_close()


def test_from_captured_answers_to_an_alert(
    tmp_path: Path, receiver: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALERT_URL", receiver)
    monkeypatch.setenv("ALERT_TOKEN", SECRET)
    home = tmp_path / "home"
    texts, labels = tiny.sentences(600)
    pl.DataFrame({"text": texts[:450], "label": labels[:450]}).write_csv(tmp_path / "rows.csv")
    (tmp_path / "recipe.yaml").write_text(
        "name: tiny\ntask: classify\n"
        "data: {sources: [{kind: csv, path: rows.csv}], clean: {near_duplicates: null}}\n"
        f"model: {tiny.encoder('bert')}\ntrain: {{trainable: head, epochs: 2}}\ngate: {{}}\n"
        "evaluate: {baselines: [majority]}\n"
        'monitor: {webhook: {url: "${env:ALERT_URL}", token: "${env:ALERT_TOKEN}", allow_private: true}}\n'
    )
    where = ["--home", str(home)]
    assert main(["run", str(tmp_path / "recipe.yaml"), *where, "-q"]) == 0
    assert main(["monitor", "tiny@production", *where, "-q"]) == 0
    assert "nothing was captured" in capsys.readouterr().out

    with open_session(home) as session:
        model = open_head(session, "tiny@production")
        capture = capture_of(session, session.ledger.resolve("tiny", "production"))
        learned = model.as_learned(texts[450:])
        ids = capture.record(learned, model.predict(texts[450:]), 3.0)
        capture.flush()
        for id, truth in zip(ids[:60], labels[450:510], strict=True):
            assert id is not None
            feedback(session, id, truth)
    capsys.readouterr()
    assert main(["monitor", "tiny@production", *where, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == {"read": 150, "looked_at": 150} and told["performance"]["rows"] == 60
    assert {one["verdict"] for one in told["tests"]} <= {"not shown", "too small to matter"}
    assert told["traffic"]["requests"]["answered"] == 1 and told["traffic"]["latency_ms"]["p95"] == 3.0
    assert Receiver.taken == []

    with open_session(home) as session:
        capture = capture_of(session, session.ledger.resolve("tiny", "production"))
        strange = model.as_learned([f"4711 WO BLEIBT MEINE RECHNUNG {one}??" for one in range(300)])
        capture.record(strange, model.predict(strange), 900.0)
        capture.flush()
    assert main(["monitor", "tiny@production", *where, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["is_alert"] and told["webhook"] == {"is_taken": True, "tries": 1, "error": ""}
    assert {"unseen_words", "uppercase"} <= {one["name"] for one in told["causes"]}
    (timestamp, signature, body), *_ = Receiver.taken
    wanted = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert signature == f"sha256={wanted}" and json.loads(body)["model"] == "tiny@1"
    page = Path(told["report"]).read_text("utf-8")
    assert "Alert: " in page and "RECHNUNG" in page and "<script" not in page
    # The same, found again a moment later, is no second message; the page says so, and has the checks before.
    assert main(["monitor", "tiny@production", *where, "--json"]) == 3
    again = json.loads(capsys.readouterr().out)
    assert again["webhook"] is None and len(Receiver.taken) == 1
    assert any("the webhook was told of this at" in note for note in again["notes"])
    page = Path(again["report"]).read_text("utf-8")
    section = page[page.index('id="before"') :]
    assert section.count("<tr>") == 4 and "Unseen words" in section and "not enough rows to tell" in section
    with open_session(home) as session:
        shown = {(one.name, one.labels.get("test")): one.value for one in gauges(session)}
    assert shown["tunesmith_monitor_alert", None] == 1.0
    assert shown["tunesmith_monitor_effect", "unseen_words"] > 0.3
    # A file of texts, with the reference taken over.
    pl.DataFrame({"text": texts[450:], "label": labels[450:]}).write_csv(tmp_path / "new.csv")
    file = ["--file", str(tmp_path / "new.csv"), "--label-column", "label"]
    assert main(["monitor", "tiny@production", *where, "--json", *file]) == 0
    assert json.loads(capsys.readouterr().out)["traffic"] is None
    assert main(["monitor", "tiny@production", *where, "--since", "soon"]) == 2
    assert main(["monitor", "run:x", *where]) == 2
    assert main(["monitor", "tinny@production", *where]) == 1
