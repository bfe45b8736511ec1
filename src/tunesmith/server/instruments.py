"""What is counted while serving, in Prometheus' form. Nothing here names a project: each is shown its own models."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from tunesmith.lifecycle.deployment import Deployment
from tunesmith.lifecycle.monitor import Gauge as Found

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Instruments:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("tunesmith_requests", "Answered requests.", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            "tunesmith_request_seconds", "Time to answer.", ["route"], buckets=SECONDS, registry=registry
        )
        self.batch_rows = Histogram(
            "tunesmith_batch_rows", "Texts of one forward pass.", buckets=ROWS, registry=registry
        )
        self.texts = Counter("tunesmith_texts", "Texts answered.", registry=registry)
        self.tokens = Counter("tunesmith_tokens", "Tokens read by models.", registry=registry)
        self.refused = Counter("tunesmith_refused", "Refused requests.", ["reason"], registry=registry)
        self.gone = Counter("tunesmith_gone", "Clients that left before their answer.", registry=registry)
        self.cache_hits = Counter("tunesmith_cache_hits", "Texts answered from the cache.", registry=registry)
        self.cache_misses = Counter("tunesmith_cache_misses", "Texts the cache did not know.", registry=registry)
        self.open = Gauge("tunesmith_open_requests", "Requests being answered.", registry=registry)
        self.ready = Gauge("tunesmith_ready", "1 where /readyz is green.", registry=registry)

    def page(self, mine: list[Deployment], checks: Sequence[Found] = ()) -> bytes:
        """The metrics as text, with the models of whoever asks and what the last checks of them found."""
        return generate_latest(self.registry) + generate_latest(_Models(mine, checks))


class _Models(CollectorRegistry):
    """The state of some deployments, read when the page is made."""

    def __init__(self, deployments: list[Deployment], checks: Sequence[Found]) -> None:
        super().__init__()
        version = GaugeMetricFamily("tunesmith_model_version", "The version that answers.", labels=["model"])
        queued = GaugeMetricFamily("tunesmith_queued_texts", "Texts that wait for their batch.", labels=["model"])
        swaps = GaugeMetricFamily("tunesmith_model_swaps", "Versions taken up since the start.", labels=["model"])
        behind = GaugeMetricFamily(
            "tunesmith_model_behind", "1 where the alias means a version that could not be opened.", labels=["model"]
        )
        stale = GaugeMetricFamily(
            "tunesmith_model_stale",
            "1 where the version that answers learned from rows of people who were erased since.",
            labels=["model"],
        )
        for served in deployments:
            version.add_metric([served.reference], served.current.version.version)
            queued.add_metric([served.reference], served.current.batcher.num_queued)
            swaps.add_metric([served.reference], served.num_swaps)
            behind.add_metric([served.reference], float(served.problem is not None))
            stale.add_metric([served.reference], float(served.stale is not None))
        families = {one.name: GaugeMetricFamily(one.name, one.means, labels=sorted(one.labels)) for one in checks}
        for one in checks:
            families[one.name].add_metric([one.labels[name] for name in sorted(one.labels)], one.value)
        self.register(_Families([version, queued, swaps, behind, stale, *families.values()]))


class _Families:
    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> list[GaugeMetricFamily]:
        """The families, as a registry asks for them."""
        return self._families
