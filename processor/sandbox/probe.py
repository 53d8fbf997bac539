"""Ask a server whether it answers, quietly."""

from __future__ import annotations

import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

ASK_FOR_S: Final = 0.5


def admin_client(bootstrap: str) -> AdminClient:
    """Return a client that says nothing of the connections refused while a broker starts, and tries again at once."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 100})


def kafka_answers(client: AdminClient, cluster: str | None = None) -> bool:
    """Tell whether a broker is up, and is of *cluster*: a stranger may sit on the port that ours failed to get."""
    try:
        metadata = client.list_topics(timeout=ASK_FOR_S)
    except KafkaException:
        return False
    return bool(metadata.brokers) and cluster in {None, metadata.cluster_id}


def registry_answers(url: str) -> bool:
    """Tell whether the Confluent API at *url* lists its subjects."""
    try:
        with urllib.request.urlopen(f"{url}/subjects", timeout=ASK_FOR_S) as response:  # noqa: S310 - our own address
            return bool(response.status == HTTPStatus.OK)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
