"""What an operator watches, in the words of Prometheus. Nothing in it tells who asked, or for what picture."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 600)


class Metrics:
    """Counters of one service; each has a registry of its own, so that several in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        Gauge("upbrush_started_seconds", "When it began, in Unix time.", registry=self._registry).set_to_current_time()
        self.requests = Counter(
            "upbrush_requests", "Requests answered.", ("method", "path", "status"), registry=self._registry
        )
        self.stages = Histogram(
            "upbrush_stage_seconds", "Parts of a painting: queue, read, style, paint, write.", ("kind", "stage"),
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self.deaths = Counter("upbrush_worker_deaths", "Workers that died and were replaced.", registry=self._registry)
        self.refused = Counter(
            "upbrush_refused", "What could not be done, by error.", ("error",), registry=self._registry
        )
        self.jobs = Counter("upbrush_jobs", "Jobs that ended, by state.", ("state",), registry=self._registry)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Tell a number that is asked for when it is read."""
        Gauge(name, what, registry=self._registry).set_function(value)

    def painted(self, kind: str, waited_ms: float, stages_ms: Mapping[str, float]) -> None:
        """Count one order that was done."""
        for stage, ms in {"queue": waited_ms, **stages_ms}.items():
            self.stages.labels(kind, stage).observe(ms / 1000)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
