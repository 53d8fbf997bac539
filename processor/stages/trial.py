"""Finds the records whose decoding ends a process, by letting a child process decode them first."""

import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from typing import Final

from processor.codec.assembly import Codecs
from processor.codec.errors import RegistryUnavailable

ANSWER_S: Final = 30.0


class Trial:
    """
    Decodes records in a child process.

    No `except` helps against a native library that crashes; a process that died may have died of any
    record it had read. Whoever takes over such a partition tries its next records here: one that
    kills the child as well has killed twice, and is dead-lettered undecoded (FAULTS S18).
    """

    def __init__(self, open_codecs: Callable[[], Codecs]) -> None:
        """Take what opens codecs in the child: a function that pickles."""
        self._open_codecs = open_codecs
        self._context = multiprocessing.get_context("spawn")

    def deadly(self, values: Sequence[bytes | None]) -> frozenset[int]:
        """Return the indexes of the values that ended a child."""
        deadly: set[int] = set()
        begin = 0
        while begin < len(values):
            survived = self._survived(values[begin:])
            if survived is None or begin + survived == len(values):
                break
            deadly.add(begin + survived)
            begin += survived + 1
        return frozenset(deadly)

    def _survived(self, values: Sequence[bytes | None]) -> int | None:
        """Return how many of *values* a child decodes before it ends; None where it ends before it has begun."""
        ours, theirs = self._context.Pipe(duplex=False)
        child = self._context.Process(target=_decode_all, args=(self._open_codecs, list(values), theirs), daemon=True)
        child.start()
        theirs.close()
        survived: int | None = None
        try:
            while ours.poll(ANSWER_S):
                survived = ours.recv()
        except EOFError:
            pass  # the child is done, or dead
        finally:
            child.kill()
            child.join()
            ours.close()
        return survived


def _decode_all(open_codecs: Callable[[], Codecs], values: list[bytes | None], answers: Pipe) -> None:
    """Decode in the child; what it raises is the boundary's in the parent, and a traceback of it might show content."""
    with suppress(Exception):
        codec = open_codecs().outbound
        answers.send(0)  # from here on it is a record's fault if the child ends
        for index, value in enumerate(values):
            try:
                codec.decode_head(value)
            except RegistryUnavailable:
                answers.send(len(values))  # nothing can be said; intake holds these records anyway
                return
            except Exception:  # noqa: BLE001, S110 - a bad record or an ordinary defect, but no deadly one
                pass
            answers.send(index + 1)
