"""An event-driven Kafka stream processor that sends a company's e-mail and SMS."""
