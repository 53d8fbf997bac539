"""
The whole path of one dispatcher process: Kafka in, message built, provider called, events out.

    python -m bench.whole [--rounds 2] [--only smtp http http_bulk ...]

The providers are sinks in other processes: Postfix's smtp-sink, and an HTTP server that does nothing else. They, the
broker and the reader of the events have their part of the same machine. Messages are text.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from bench.field import PROVIDER, Field, send_topics
from bench.http_server import served
from bench.loops import dispatch
from bench.smtp import sink
from processor.metrics import know
from processor.providers.catalogue import AdapterConfig, open_adapter
from processor.providers.http.config import HttpConfig
from processor.providers.smtp.config import SmtpConfig
from processor.sandbox.broker import find_broker

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS = 40
CALLS = 200  # at once over http: a tick starts no more than that and as many ahead, whatever each of them costs
ITEM = {"to": "{{ to }}", "text": "{{ text }}", "message_id": "{{ message_id }}"}


def smtp_config(port: Any) -> AdapterConfig:
    return SmtpConfig(
        host="127.0.0.1",
        port=port,
        tls="off",
        from_address="bench@example.com",
        message_id_domain="example.com",
        connections=CONNECTIONS,
        uses_per_connection=1_000,
    )


def http_config(url: Any) -> AdapterConfig:
    return HttpConfig(url=url, body=ITEM, provider_message_id="id", connections=CALLS)


def bulk_config(url: Any) -> AdapterConfig:
    return HttpConfig(
        url=f"{url}bulk",
        body={"messages": "{{ items }}"},
        item=ITEM,
        results="results",
        result_reference="message_id",
        provider_message_id="id",
        connections=64,
    )


# name: sink, configuration, its kind, slots of the lanes other than express, bulk size, bytes of text, messages, wanted
CASES: dict[str, tuple[Any, Callable[[Any], AdapterConfig], str, int, int, int, int, int]] = {
    "smtp": (sink, smtp_config, "smtp", CONNECTIONS, 1, 4_096, 30_000, 1_000),
    "http": (served, http_config, "http", CALLS, 1, 1_590, 40_000, 3_000),
    "http_bulk": (served, bulk_config, "http", 1_600, 100, 1_590, 60_000, 10_000),
}


def measure(field: Field, kind: str, config: AdapterConfig, count: int) -> float:
    """Return the rate of one dispatcher, in a process of its own."""
    field.parts()
    know(provider=[PROVIDER], channel=["Email"], topic=send_topics(field))
    return dispatch(field, count, open_adapter(kind, config))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    options = parser.parse_args()
    with find_broker() as broker:
        for name in options.only:
            server, config, kind, slots, bulk_size, text_bytes, count, wanted = CASES[name]
            rates = []
            for _ in range(options.rounds):
                prefix = f"whole{time.time_ns() // 1_000_000}.{name}"
                # A fifth of a provider's slots is kept for express, which this does not measure.
                field = Field(broker.bootstrap, prefix, slots * 5 // 4, bulk_size, text_bytes)
                with server() as address, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
                    rates.append(apart.submit(measure, field, kind, config(address), count).result())
            told = ", ".join(f"{rate:,.0f}" for rate in rates)
            print(f"{name:10} {statistics.median(rates):8,.0f} a second of {wanted:,} wanted ({told})", flush=True)


if __name__ == "__main__":
    main()
