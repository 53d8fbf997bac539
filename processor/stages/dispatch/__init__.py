"""Dispatch: calls providers; every tick is one transaction, and the offset commit is the journal."""
