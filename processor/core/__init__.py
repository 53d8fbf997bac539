"""Decisions: pure functions of values, with the clock, chance and time zones as arguments."""
