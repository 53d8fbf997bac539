"""Adapters that hand messages to providers: build, one line of I/O, parse."""
