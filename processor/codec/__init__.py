"""Avro bytes to core values and back; nothing that comes from outside is believed before its bounds are checked."""
