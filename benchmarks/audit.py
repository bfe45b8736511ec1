"""How fast the audit chain is written and verified; prints one JSON value.

``python benchmarks/audit.py [--entries 1000000] [--batch 5000] [--singles 500] [--clients 32] [--postgres URL]``:
entries in batches (one transaction a batch), one at a time (a commit and an anchor each), by clients that say one word
of feedback after the other (a commit and an anchor for all who come at once, as in a server), and the whole chain
verified.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunesmith.core.errors import StoreError
from tunesmith.store import audit, observations
from tunesmith.store.anchors import Custody
from tunesmith.store.audit import Act
from tunesmith.store.database import writing
from tunesmith.store.group_commit import GroupCommit
from tunesmith.store.ledger import Ledger
from tunesmith.store.observations import Observation, Word
from tunesmith.store.verify_audit import verify
from tunesmith.store.workspace import Workspace

WORDS = 50
"""What each client says."""


def spoken(ledger: Ledger, num_clients: int) -> tuple[float, float]:
    """Words of feedback a second, as a server keeps them, and how many shared a transaction."""
    ids = [f"{at:032x}" for at in range(num_clients * WORDS)]
    now, groups = datetime.now(UTC), []
    rows = [Observation(id, "intents", 1, now, "", None, {"label": "a"}, 1.0) for id in ids]
    observations.add(ledger.engine, ledger.project, rows)

    def write(words: Sequence[Word]) -> list[int | StoreError]:
        groups.append(len(words))
        return observations.add_words(ledger.engine, ledger.project, words)

    commit = GroupCommit(write)

    def say(client: int) -> None:
        for id in ids[client::num_clients]:
            commit(Word(id, "a", "local:bench"))

    start = time.perf_counter()
    with ThreadPoolExecutor(num_clients) as clients:
        list(clients.map(say, range(num_clients)))
    return len(ids) / (time.perf_counter() - start), len(ids) / len(groups)


def measure(num_entries: int, batch: int, num_singles: int, num_clients: int, url: str | None) -> dict[str, Any]:
    """Entries a second, written in batches and singly, and what verifying all of them took."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.open(Path(folder) / "home", f"bench-{os.getpid()}")
        with Ledger.open(url or workspace.ledger_url, workspace.project, Custody.of(workspace.root)) as ledger:
            start = time.perf_counter()
            for first in range(0, num_entries, batch):
                acts = [
                    Act("local:bench", "feedback", f"intents@{n % 7}", {"rows": n, "reason": "labels came in"})
                    for n in range(first, min(first + batch, num_entries))
                ]
                with writing(ledger.engine) as connection:
                    audit.append_many(connection, ledger.project, acts)
            batched_s = time.perf_counter() - start
            start = time.perf_counter()
            for number in range(num_singles):
                with writing(ledger.engine) as connection:
                    audit.append(connection, ledger.project, "local:bench", "release", "intents", {"version": number})
            singles_s = time.perf_counter() - start
            words_per_s, words_each = spoken(ledger, num_clients)
            start = time.perf_counter()
            found = verify(ledger.engine, ledger.project)
            verify_s = time.perf_counter() - start
            assert found.is_whole and found.num_entries == num_entries + num_singles + num_clients * WORDS, found
    return {
        "ledger": "postgresql" if url else "sqlite",
        "entries": num_entries,
        "batch": batch,
        "batched_per_s": round(num_entries / batched_s) if num_entries else None,
        "singles": num_singles,
        "singles_per_s": round(num_singles / singles_s, 1),
        "clients": num_clients,
        "words_per_s": round(words_per_s),
        "words_of_one_transaction": round(words_each, 1),
        "verified": found.num_entries,
        "verify_s": round(verify_s, 2),
        "verified_per_s": round(found.num_entries / verify_s),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "machine": {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "system": platform.platform()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=5_000)
    parser.add_argument("--singles", type=int, default=500)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--postgres", default=None, help="a SQLAlchemy URL; default: SQLite in a temporary folder")
    given = parser.parse_args()
    print(json.dumps(measure(given.entries, given.batch, given.singles, given.clients, given.postgres), indent=2))
