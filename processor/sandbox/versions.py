"""What a drill or a measurement ran on."""

import platform
from importlib.metadata import version

import confluent_kafka

from processor.sandbox.local_kafka import VERSION


def versions() -> dict[str, str]:
    """Return the versions of what runs here, by name."""
    return {
        "Python": platform.python_version(),
        "confluent-kafka": version("confluent-kafka"),
        "librdkafka": str(confluent_kafka.libversion()[0]),
        "Apache Kafka": VERSION,
    }
