"""SMTP replies, however they come in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processor.core.outcome import Accepted, Unknown
from processor.providers.smtp.reply import MALFORMED, REPLY_BYTES_MAX, Reply, Step, outcome, take_reply

CODES = st.integers(200, 599)
WORDS = st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b" ").replace(b"\r", b" "))


@given(code=CODES, lines=st.lists(WORDS, min_size=1, max_size=5), cut=st.integers(0, 400))
def test_a_reply_is_the_same_in_one_piece_and_in_two(code: int, lines: list[bytes], cut: int) -> None:
    whole = b"".join(b"%d-%b\r\n" % (code, line) for line in lines[:-1]) + b"%d %b\r\n" % (code, lines[-1])
    buffer = bytearray(whole[:cut])

    first = take_reply(buffer)
    if first is None:
        buffer += whole[cut:]
        first = take_reply(buffer)

    assert first == take_reply(bytearray(whole))
    assert first is not None
    assert first.code == code
    assert not buffer[len(whole) :]


@given(st.binary(max_size=9_000))
def test_no_bytes_are_too_strange_to_read(raw: bytes) -> None:
    buffer = bytearray(raw)
    taken = 0
    while (reply := take_reply(buffer)) not in {None, MALFORMED}:
        taken += 1
    assert taken <= len(raw)
    if reply is None:
        assert len(buffer) <= REPLY_BYTES_MAX + 1_024


@given(
    code=st.integers(0, 999),
    enhanced=st.sampled_from([None, "2.0.0", "4.7.1", "5.1.1", "5.7.8"]),
    step=st.sampled_from(Step),
)
def test_every_code_has_an_outcome_and_only_250_to_the_dot_is_accepted(
    code: int, enhanced: str | None, step: Step
) -> None:
    found = outcome(Reply(code, enhanced), step)

    assert isinstance(found, Accepted) == (code == 250 and step is Step.DOT)
    if isinstance(found, Unknown):
        assert step is Step.DOT


def test_two_replies_in_one_packet_are_two() -> None:
    buffer = bytearray(b"250-one\r\n250 2.1.0 two\r\n354 go\r\n25")

    assert take_reply(buffer) == Reply(250, "2.1.0", (b"250-one", b"250 2.1.0 two"))
    assert take_reply(buffer) == Reply(354, None, (b"354 go",))
    assert take_reply(buffer) is None
    assert buffer == b"25"
