"""Makes the stage `tracking` of what was configured."""

import os
import tempfile
from functools import partial
from pathlib import Path

from processor.kafka.reliable import Reliable
from processor.settings import Settings
from processor.stages.assembly import Parts
from processor.stages.tracking.buffer import BufferTaken
from processor.stages.tracking.reported import publisher
from processor.stages.tracking.server import Listening, PortTaken, TrackingLoop
from processor.stages.tracking.webhooks import Webhooks


class TrackingRefused(Exception):
    """The stage cannot be served like this; the text says what to change."""


def tracking_loop(settings: Settings, parts: Parts) -> TrackingLoop:
    """Return the loop that serves; raises `TrackingRefused`."""
    port = settings.tracking.port
    path = buffer_path(settings)
    try:
        return TrackingLoop(
            listening(settings, path, parts.stop_grace_s),
            connection=parts.connection,
            names=parts.names,
            partitions=parts.partitions,
            codec=parts.open_codecs().events,
            health=parts.health,
            instance=parts.slot,
            webhooks=partial(_webhooks, settings, parts),
        )
    except PortTaken:
        raise TrackingRefused(f"Port {port} is taken; write another one, or 0, into tracking.port.") from None
    except BufferTaken as taken:
        raise TrackingRefused(
            f"{path} cannot be used ({taken}): another process has it, or its folder cannot be written to; give each "
            f"instance a kafka.slot of its own, or write another folder into tracking.buffer_folder."
        ) from None


def _webhooks(settings: Settings, parts: Parts, reliable: Reliable) -> Webhooks:
    tracking = settings.tracking
    return Webhooks(
        settings.webhook_configs(),
        publisher(reliable, parts.names.receipts, parts.open_codecs().events.encode_receipt),
        parts.clock.now_ms,
        tracking.replay_window_ms,
        tracking.base_url or "",
    )


def buffer_path(settings: Settings) -> Path:
    """Return the file in which events of this slot wait: a restarted process finds those of the one before."""
    folder = settings.tracking.buffer_folder or f"{tempfile.gettempdir()}/commproc-{os.getuid()}"  # of this user alone
    return Path(folder) / f"{settings.topics.prefix}-tracking-{settings.kafka.slot}.sqlite"


def listening(settings: Settings, path: Path, stop_grace_s: float) -> Listening:
    """Return what the stage needs of the configuration."""
    tracking = settings.tracking
    return Listening(
        tracking.host,
        tracking.port,
        tracking.sealing_keys(),
        tracking.human_after_ms,
        path,
        tracking.buffer_bytes_max,
        tracking.body_bytes_max,
        tracking.header_timeout_ms,
        tracking.body_timeout_ms,
        stop_grace_s,
    )
