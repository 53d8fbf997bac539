"""Kafka as the product uses it: members of groups, transactions, the journal, topics as data."""
