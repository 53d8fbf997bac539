"""What a local server offers, whoever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class NotAvailable(Exception):
    """No such server can be had here; the text says what to install."""


class DidNotStart(NotAvailable):
    """Our own server ended or stayed mute; the text ends in the last lines of its log."""


class Service(ABC):
    """
    A running server and what may be done to it.

    As a context manager it is closed at the end: stopped if it is ours, its data deleted.
    """

    origin: str
    """Where it comes from, for people."""

    can_restart: bool
    """Whether `kill` and `restart` work: it is ours, and keeps its address."""

    @abstractmethod
    def stop(self) -> None:
        """End it in order; data stay, so that `restart` finds them. Nothing happens to a server that is not ours."""

    @abstractmethod
    def kill(self) -> None:
        """End it as a crash would (SIGKILL). Raises `NotAvailable` where it is not ours."""

    @abstractmethod
    def restart(self) -> None:
        """Stop it if it runs, start it on the same address, return once it answers. Raises `NotAvailable`."""

    @abstractmethod
    def close(self) -> None:
        """Stop it and delete its data, if it is ours."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Broker(Service):
    """A Kafka that answers at `bootstrap` (host:port)."""

    bootstrap: str


class Registry(Service):
    """A schema registry that speaks the Confluent API at `url`."""

    url: str


class Given:
    """The part of a server that someone else runs: we only use it."""

    can_restart = False

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def stop(self) -> None:
        """Leave it running."""

    def kill(self) -> None:
        """Refuse."""
        raise NotAvailable(f"{self.origin} is not ours to kill")

    def restart(self) -> None:
        """Refuse."""
        raise NotAvailable(f"{self.origin} is not ours to restart")

    def close(self) -> None:
        """Leave it running."""
