"""Serve /metrics, /healthz and /readyz from a thread of its own, so that a stuck loop can still be seen."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any, ClassVar, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

BEAT_AGE_MAX_S: Final = 60.0
"""A loop that has not come round for this long is stuck: a broker restart holds a tick for 30 s (DESIGN 6.3)."""

CLIENT_TIMEOUT_S: Final = 10.0

Page = tuple[HTTPStatus, str, bytes]


class Health:
    """Whether this process can do its work (ready), and whether its loops turn (healthy). Safe from any thread."""

    def __init__(self, *, seconds: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._beats: dict[str, float] = {}
        self._ready, self._why = False, "starting"

    def set_ready(self, ready: bool, why: str = "") -> None:  # noqa: FBT001 - reads as a sentence
        """Say whether work is flowing; *why* is a short fixed text such as `kafka away`."""
        with self._lock:
            self._ready, self._why = ready, why

    def beat(self, loop: str) -> None:
        """Say that *loop* came round; from the first beat on it must go on doing so until `stopped`."""
        with self._lock:
            self._beats[loop] = self._seconds()

    def stopped(self, loop: str) -> None:
        """Say that *loop* ended on purpose."""
        with self._lock:
            self._beats.pop(loop, None)

    def ready(self) -> tuple[bool, str]:
        """Return whether work is flowing, and if not why."""
        with self._lock:
            return self._ready, self._why

    def stuck(self) -> dict[str, float]:
        """Return the loops that have not come round for too long, with the seconds since their last beat."""
        return {loop: age_s for loop, age_s in self.beat_ages_s().items() if age_s > BEAT_AGE_MAX_S}

    def beat_ages_s(self) -> dict[str, float]:
        """Return the seconds since each loop came round."""
        with self._lock:
            now_s = self._seconds()
            return {loop: now_s - at_s for loop, at_s in self._beats.items()}


class Server:
    """A running server; `port` is the one it got."""

    def __init__(self, listener: ThreadingHTTPServer, close: Callable[[], None]) -> None:
        self._listener, self._close = listener, close
        self.port: int = listener.server_address[1]
        self._thread = threading.Thread(target=listener.serve_forever, args=(0.1,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        self._close()


def serve(host: str, port: int, registry: CollectorRegistry, health: Health) -> Server:
    """Start serving on *host*; port 0 takes a free one. Raises OSError where the port is taken."""

    class Handler(_Handler):
        pages: ClassVar = {
            "/metrics": partial(_metrics, registry),
            "/healthz": partial(_healthz, health),
            "/readyz": partial(_readyz, health),
        }

    listener = ThreadingHTTPServer((host, port), Handler)
    listener.daemon_threads = True
    told = _Told(health)
    registry.register(told)
    return Server(listener, close=lambda: registry.unregister(told))


class _Told(Collector):
    """The two metrics that repeat what /readyz and /healthz say."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        ready, _ = self._health.ready()
        yield GaugeMetricFamily("comm_ready", "1 while work is flowing, as /readyz says.", value=float(ready))
        ages = GaugeMetricFamily(
            "comm_loop_beat_age_seconds", "Seconds since a loop last came round; 60 is unhealthy.", labels=["loop"]
        )
        for loop, age_s in self._health.beat_ages_s().items():
            ages.add_metric([loop], age_s)
        yield ages


class _Handler(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, Callable[[str], Page]]]
    timeout = CLIENT_TIMEOUT_S  # a slow client holds a thread, not the server
    server_version = "commproc"
    sys_version = ""

    def do_GET(self) -> None:  # the name that http.server calls
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not found\n")
        else:
            self._answer(*page(self.headers.get("Accept", "")))

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives
        """Say nothing: request lines are written by strangers."""


def _metrics(registry: CollectorRegistry, accept: str) -> Page:
    encode, content_type = choose_encoder(accept)
    return HTTPStatus.OK, content_type, encode(registry)


def _healthz(health: Health, accept: str) -> Page:
    stuck = health.stuck()
    lines = [f"{loop} has not come round for {age_s:.0f} s" for loop, age_s in sorted(stuck.items())]
    return _text(not stuck, "\n".join(lines))


def _readyz(health: Health, accept: str) -> Page:
    return _text(*health.ready())


def _text(good: bool, why: str) -> Page:  # noqa: FBT001 - private
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "text/plain; charset=utf-8", (f"{'ok' if good else why or 'no'}\n").encode()
