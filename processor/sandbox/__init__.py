"""Servers to try things against: a local Kafka and registry, SMTP and HTTP with scripted faults."""
