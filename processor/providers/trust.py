"""Whose certificates are trusted."""

from __future__ import annotations

import ssl


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """
    Return a context that trusts the system's authorities, and those in *ca_file* as well.

    `create_default_context(cafile=…)` trusts that file alone: a provider that moved to a public authority was lost.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
