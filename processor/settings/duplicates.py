"""The section `duplicates`."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from processor.settings.kinds import Duration, wrong
from processor.settings.section import Section

DAY_MS: Final = 86_400_000
_SECOND_MS: Final = 1_000


def _horizon(value: int) -> int:
    if 0 < value < _SECOND_MS:
        raise wrong("is less than a second", "1s or more, such as 3d; 0s for not at all")
    return value


class DuplicatesSettings(Section):
    """Messages that producers ask for again under an id that was seen before."""

    horizon_ms: Annotated[Duration, AfterValidator(_horizon)] = Field(
        3 * DAY_MS,
        alias="horizon",
        ge=0,
        le=90 * DAY_MS,
        description="How long an id is known once it was seen (some 30 bytes of memory each, and as much in Kafka); "
        "0s: not at all, each record is a message of its own.",
    )
