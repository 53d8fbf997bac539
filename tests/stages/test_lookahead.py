"""What was read and may not be forwarded yet has a bound, whatever a producer puts into a record."""

import pytest

from processor.stages.lookahead import Lookahead
from processor.stages.record import Record


def record(*, key: bytes | None = None, timestamp_ms: int = 0) -> Record:
    return Record(("comm.outbound", 0), 0, key, b"", timestamp_ms, None)


def untimed(bytes_max: int = 1_000) -> Lookahead:
    return Lookahead(wait_ms=None, bytes_max=bytes_max, next_offset=0)


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 1 << 62, (1 << 62) + 1, (1 << 63) - 1])
def test_what_does_not_wait_is_ready_whatever_its_timestamp_says(timestamp_ms: int) -> None:
    part = untimed()
    part.add(record(timestamp_ms=timestamp_ms))

    assert part.head_ready_ms() == 0
    assert len(part.take(0, most=10)) == 1


def test_keys_count_as_values_do() -> None:
    part = untimed(bytes_max=1_000)
    for _ in range(2):
        part.add(record(key=b"k" * 600))

    assert part.full
    part.put_back(part.take(0, most=1), until_ms=0)
    assert part.full
    part.take(0, most=2)
    assert part.size_bytes == 0
