"""Keeping what a served model is asked and answers, and taking the true answers that are known later.

Rows are written by a thread of their own, many at once, so that nobody waits for the ledger; ``flush`` returns once
what was recorded before is durable. Where the ledger is down, rows wait up to a bound, and beyond it are counted as
lost.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tunesmith.core.errors import StoreError, TunesmithError
from tunesmith.core.subject import subject_hash
from tunesmith.governance.privacy.config import PrivacyConfig
from tunesmith.governance.privacy.treat import Treatment
from tunesmith.lifecycle.model import Prediction
from tunesmith.lifecycle.origin import monitor_of, recipe_of
from tunesmith.lifecycle.session import Session
from tunesmith.monitoring.config import MonitorConfig
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.store import observations
from tunesmith.store.observations import Observation, Outcome, Served
from tunesmith.store.records import ModelVersion

log = logging.getLogger(__name__)
MOST_WAITING = 20_000
"""Rows that wait for the ledger; more are not kept."""
BATCH_ROWS = 1000
LINGER_S = 0.2
"""How long a row waits for others, unless somebody flushes."""
IDLE_S = 5.0
"""After so long without a row the thread ends; the next row starts another."""
IDS_DRAWN = 256
RETRY_S = 0.5, 10.0
FLUSH_S = 30.0

_live: weakref.WeakSet[Capture] = weakref.WeakSet()


class Capture:
    """Keeps the answers of one served version."""

    def __init__(
        self, session: Session, name: str, version: int, recipe: AnyRecipe | None, sample: float | None = None
    ) -> None:
        """``recipe``: that of the run which made the model; without it no texts are kept, for its privacy rules are
        not known. ``sample``: the share that is kept, instead of the recipe's."""
        self.session, self.name, self.version = session, name, version
        config = monitor_of(recipe)
        self.share = config.capture.share if sample is None else sample
        self.seed = 0 if recipe is None else recipe.seed
        self._treatment, self.privacy = _treatment(session, recipe, config)
        self._keeps_texts = config.capture.texts and recipe is not None
        self._subject_key = session.workspace.subject_key()
        self._ids: list[str] = []
        self._rows: deque[Observation] = deque()
        self._counts: Counter[tuple[datetime, Outcome]] = Counter()
        self._latency_ms: defaultdict[tuple[datetime, Outcome], float] = defaultdict(float)
        self._changed = threading.Condition()
        self._num_added = self._num_written = self.num_lost = 0
        self._num_flushing = 0
        self._problem: TunesmithError | None = None
        self._thread: threading.Thread | None = None
        _live.add(self)
        log.info("%s@%s: %s of the answers are captured; %s", name, version, f"{self.share:.0%}", self.privacy)

    def record(
        self,
        texts_as_learned: Sequence[str],
        predictions: Sequence[Prediction],
        latency_ms: float,
        subjects: Sequence[str | None] | None = None,
        key_id: str | None = None,
    ) -> list[str | None]:
        """The id of each answer, by which feedback names it; None where it is not kept. Counts one answered request."""
        now = datetime.now(UTC)
        ids: list[str | None] = []
        rows = []
        people = subjects or [None] * len(predictions)
        for text, prediction, subject in zip(self._kept(texts_as_learned), predictions, people, strict=True):
            own = self._new_id()
            if not is_sampled(own, self.share, self.seed):
                ids.append(None)
                continue
            ids.append(own)
            answer = answer_of(prediction)
            hashed = self._hashed(subject)
            rows.append(Observation(own, self.name, self.version, now, text, hashed, answer, latency_ms, key_id))
        with self._changed:
            self._count("answered", latency_ms, now)
            if len(self._rows) + len(rows) > MOST_WAITING:
                self.num_lost += len(rows)
                return [None] * len(ids)
            self._rows.extend(rows)
            self._wake()
        return ids

    def count(self, outcome: Outcome, latency_ms: float) -> None:
        """Count a request that was refused or failed."""
        with self._changed:
            self._count(outcome, latency_ms, datetime.now(UTC))
            self._wake()

    def flush(self, timeout_s: float = FLUSH_S) -> None:
        """Return once everything recorded before is durable.

        Raises: StoreError where the ledger does not take it in time; what waits goes on waiting.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            wanted = self._num_added
            self._num_flushing += 1
            try:
                self._wake(is_new=False)
                while self._num_written < wanted:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise StoreError(
                            "captured answers could not be written",
                            seen=self._problem or f"nothing within {timeout_s:g} s",
                            next="bring the ledger back: what waits is written then, as long as the process lives",
                        )
                    self._changed.wait(left)
            finally:
                self._num_flushing -= 1

    def _new_id(self) -> str:
        """The second as 32 bits, so that feedback knows a fresh one, and 96 random bits, in hex.

        Many are drawn at once, as each draw gives up the interpreter and waits for it.
        """
        try:
            drawn = self._ids.pop()
        except IndexError:
            many = secrets.token_bytes(12 * IDS_DRAWN).hex()
            self._ids.extend(many[at : at + 24] for at in range(24, len(many), 24))
            drawn = many[:24]
        return f"{int(time.time()):08x}{drawn}"

    def _count(self, outcome: Outcome, latency_ms: float, now: datetime) -> None:
        key = now.replace(second=0, microsecond=0), outcome
        self._counts[key] += 1
        self._latency_ms[key] += latency_ms

    def _wake(self, *, is_new: bool = True) -> None:
        """Under the lock: note that there is work, and see that somebody does it."""
        self._num_added += is_new
        if self._num_written < self._num_added and self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"capture {self.name}", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        attempt = 0
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._num_written < self._num_added, IDLE_S):
                    self._thread = None
                    return
                if attempt:
                    self._changed.wait(min(RETRY_S[1], RETRY_S[0] * 2.0**attempt))
                else:
                    self._changed.wait_for(lambda: self._num_flushing > 0 or len(self._rows) >= BATCH_ROWS, LINGER_S)
                rows, counts = list(self._rows), dict(self._counts)
                latency, upto = dict(self._latency_ms), self._num_added
            try:
                self._write(rows, counts, latency)
            except StoreError as error:
                attempt = min(attempt + 1, 10)
                with self._changed:
                    if self._problem is None:
                        log.warning("captured answers wait for the ledger: %s", error.what)
                    self._problem = error
                continue
            attempt = 0
            with self._changed:
                for _ in rows:
                    self._rows.popleft()
                self._counts.subtract(counts)
                for key, written_ms in latency.items():
                    self._latency_ms[key] -= written_ms
                self._counts = Counter({key: one for key, one in self._counts.items() if one})
                self._latency_ms = defaultdict(float, {key: self._latency_ms[key] for key in self._counts})
                self._num_written, self._problem = upto, None
                self._changed.notify_all()

    def _write(
        self,
        rows: list[Observation],
        counts: Mapping[tuple[datetime, Outcome], int],
        latency_ms: Mapping[tuple[datetime, Outcome], float],
    ) -> None:
        served = [
            Served(self.name, self.version, minute, outcome, number, float(latency_ms[minute, outcome]))
            for (minute, outcome), number in counts.items()
        ]
        ledger = self.session.ledger
        observations.add(ledger.engine, ledger.project, rows, served)

    def _kept(self, texts: Sequence[str]) -> Sequence[str]:
        if not self._keeps_texts:
            return [""] * len(texts)
        return texts if self._treatment is None else self._treatment.texts(texts)

    def _hashed(self, subject: str | None) -> str | None:
        plain = (subject or "").strip()
        return subject_hash(self._subject_key, plain) if plain else None


def capture_of(session: Session, version: ModelVersion, sample: float | None = None) -> Capture:
    """What keeps the answers of a released version, by the recipe of its run."""
    return Capture(session, version.name, version.version, recipe_of(session, version), sample)


def flush_all(session: Session) -> None:
    """Write what every capture of a project in this process has in hand."""
    ledger = session.ledger
    for one in [one for one in _live if one.session.ledger.engine.url == ledger.engine.url]:
        if one.session.ledger.project == ledger.project:
            one.flush()


def is_sampled(id: str, share: float, seed: int) -> bool:
    """Whether the answer of an id is kept: the same for the same id and seed, on any machine."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}:{id}".encode()).digest()[:8])
    return drawn < share * 2**64


def answer_of(prediction: Prediction) -> dict[str, Any]:
    """What of a prediction is kept: the answer and how sure it is, not every label's probability."""
    kept: dict[str, Any] = {
        "label": prediction.label,
        "probability": prediction.probability,
        "labels": None if prediction.labels is None else list(prediction.labels),
        "value": prediction.value,
        "values": prediction.values,
        "score": prediction.score,
    }
    if prediction.labels is not None:
        kept["probability"] = max(prediction.probabilities.values(), default=0.0)
    answer = {name: one for name, one in kept.items() if one is not None}
    if prediction.is_rejected:
        answer |= {"label": prediction.label, "is_rejected": True}
    return answer


def _treatment(session: Session, recipe: AnyRecipe | None, config: MonitorConfig) -> tuple[Treatment | None, str]:
    """What is still to be done to texts as learned before they are kept, and what is done in all, in words."""
    if not config.capture.texts:
        return None, "texts are not kept (monitor.capture.texts: false)"
    if recipe is None:
        return None, "texts are not kept: the recipe with their privacy rules is gone"
    privacy = recipe.data.privacy
    if privacy == "off":
        return None, "texts are kept as they are (data.privacy: off)"
    actions = {privacy.on_pii, *privacy.entities.values()}
    words = "as they are (data.privacy.on_pii: allow)" if actions == {"allow"} else "without personal data"
    if "block" not in actions:
        return None, f"texts are kept {words}: as the model reads them"
    # Training refuses such rows as a whole; a question cannot be taken back, so its values go.
    blocked = PrivacyConfig.model_validate(
        privacy.model_dump()
        | {
            "on_pii": "redact" if privacy.on_pii == "block" else "allow",
            "entities": {name: "redact" if action == "block" else "allow" for name, action in privacy.entities.items()},
        }
    )
    return Treatment(blocked, session.workspace.subject_key()), "texts are kept without what data.privacy blocks"
