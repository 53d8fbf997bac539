"""A reader with a defect behind four branches, for a fuzzer to find."""

from __future__ import annotations

from fuzz.target import Target


def flawed(data: bytes) -> None:
    """Break at four letters in their order, which chance alone finds once in four thousand million tries."""
    if len(data) > 3 and data[0] == ord("f"):  # noqa: SIM102 - each of them is a branch to be seen
        if data[1] == ord("u"):  # noqa: SIM102
            if data[2] == ord("z"):  # noqa: SIM102
                if data[3] == ord("z"):
                    raise ValueError("the defect")


TARGETS = {"flawed": Target(flawed, (b"none",))}
