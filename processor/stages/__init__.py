"""Intake, delay, dispatch: each a thin loop around the core."""
