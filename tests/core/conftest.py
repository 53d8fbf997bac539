"""Properties run as often as Hypothesis does by default, and no example is timed: other work shares the cores."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("core", settings.default, deadline=None)
settings.load_profile("core")
