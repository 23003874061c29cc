"""The same application on several processes or machines: replicas under Ray Serve, as many as the load asks for.

Each replica is the whole application with workers of its own. What they share is the data folder (every machine sees
it by the same name) and the queue in it, or in Redis: any replica paints a job, and any can tell how far it is.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from upbrush.errors import ConfigError
from upbrush.web.desk import Settings

NAME = "upbrush"
# What is under way is bounded by the application, which answers 429 in its own words when its line is full. So Ray lets
# many more through than paint and wait: events of jobs are requests, too. Beyond, Ray answers 503, in its words.
MOST_UNDER_WAY = 1024
MOST_QUEUED = 256


@dataclass(frozen=True)
class Replicas:
    """How many: the least, the most, and how many requests each may have before another is wanted."""

    least: int = 1
    most: int = 4
    busy: float = 4.0

    @classmethod
    def of(cls, words: str) -> "Replicas":
        """From words such as "2" or "1:8". Raises ConfigError for what cannot be read."""
        least, _, most = words.partition(":")
        if not least.isdecimal() or not (most or least).isdecimal() or not 1 <= int(least) <= int(most or least):
            raise ConfigError(f"--replicas {words}: expected a number, or the least and the most, as in 1:8")
        return cls(int(least), int(most or least))


@contextmanager
def serving(settings: Settings, replicas: Replicas, host: str, port: int) -> Iterator[None]:
    """Serve on a Ray cluster until the block ends: the one of RAY_ADDRESS, or one on this machine, made for it.

    Raises ConfigError where Ray cannot be reached, or the replicas do not come up.
    """
    import ray
    from ray import serve
    from ray.exceptions import RayError

    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING, ignore_reinit_error=True)
    except Exception as error:  # noqa: BLE001 Ray raises bare ones, as where a node is not up in its 30 seconds
        ray.shutdown()
        words = " ".join(str(error).split())[:300]
        raise ConfigError(f"Ray cannot be reached ({words}); see RAY_ADDRESS, or leave --ray out") from None
    try:
        try:
            serve.start(http_options={"host": host, "port": port, "request_timeout_s": None})
            serve.run(application(settings, replicas), name=NAME, route_prefix="/", logging_config=_quiet())
        except (RuntimeError, RayError) as error:
            words = " ".join(str(error).split())[:300]
            raise ConfigError(f"the replicas do not come up ({words}); `serve status` tells more") from None
        yield
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


def application(settings: Settings, replicas: Replicas) -> Any:
    """The application as Ray Serve takes it. Each replica asks for as many cores as its workers have threads."""
    from ray import serve

    deployed = serve.deployment(name=NAME, **options(settings, replicas))
    return deployed(serve.ingress(_builder(settings))()).bind()


def options(settings: Settings, replicas: Replicas) -> dict[str, Any]:
    """What Ray Serve is told of a replica: how many, how large, and how much each is given at once."""
    return {
        "ray_actor_options": {"num_cpus": settings.workers * (settings.bench.threads or 1)},
        "max_ongoing_requests": settings.limits.waiting + settings.workers + MOST_UNDER_WAY,
        "max_queued_requests": MOST_QUEUED,
        "autoscaling_config": {
            "min_replicas": replicas.least,
            "max_replicas": replicas.most,
            "target_ongoing_requests": replicas.busy,
        },
        "graceful_shutdown_timeout_s": 20,
    }


def _builder(settings: Settings) -> Callable[[], Any]:
    """What a replica calls to make its application: settings travel, the application does not."""

    def build() -> Any:
        from upbrush.web import server

        return server.application(settings)

    return build


def _quiet() -> dict[str, Any]:
    return {"log_level": "WARNING", "enable_access_log": False}


def wait() -> None:
    """Until the program is told to stop."""
    while True:
        time.sleep(3600)
