"""Short messages: the fewest parts that the alphabet allows, and nothing of the text lost or changed."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from processor.providers.text import Encoding, parts_of, whole

# 3GPP TS 23.038 §6.2.1, written down again from the standard: row by row, 16 septets each; "\x1b" stands for ESC.
TABLE = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
EXTENSION = {0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|"} | {
    0x65: "€"
}
BASIC = TABLE.replace("\x1b", "")
COSTLY = "".join(EXTENSION.values())

gsm_texts = st.text(st.sampled_from(BASIC + COSTLY), max_size=1_600)
any_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


def read_gsm(octets: bytes) -> str:
    """Read septets as a handset does, character by character."""
    text, escaped = [], False
    for octet in octets:
        if escaped:
            text.append(EXTENSION[octet])
            escaped = False
        elif octet == 0x1B:
            escaped = True
        else:
            text.append(TABLE[octet])
    assert not escaped, "a part ends within an escape sequence"
    return "".join(text)


def fewest(costs: list[int], *, alone: int, part: int) -> int:
    """Count the parts, laying characters of these costs one after the other."""
    if sum(costs) <= alone:
        return 1
    parts, room = 1, part
    for cost in costs:
        if cost > room:
            parts, room = parts + 1, part
        room -= cost
    return parts


@given(gsm_texts)
@example("")
@example("a" * 160)
@example("a" * 161)
@example("a" * 152 + "€" + "b" * 20)
@example("€" * 400)
def test_a_text_of_the_gsm_alphabet_is_read_back_and_takes_the_fewest_parts(text: str) -> None:
    made = parts_of(text)

    assert made.encoding is Encoding.GSM7
    assert "".join(read_gsm(part) for part in made.parts) == text
    assert made.segments == fewest([2 if each in COSTLY else 1 for each in text], alone=160, part=153)
    assert all(len(part) <= (160 if made.segments == 1 else 153) for part in made.parts)


@given(any_texts)
@example("ț" * 70)
@example("ț" * 71)
@example("a" * 66 + "🎉" + "b" * 10)
@example("🎉" * 500)
@example("\x1b")
@example("\x1be")
def test_any_other_text_is_ucs2_read_back_part_by_part(text: str) -> None:
    made = parts_of(text)

    is_gsm = all(each in BASIC + COSTLY for each in text)
    assert made.encoding is (Encoding.GSM7 if is_gsm else Encoding.UCS2)
    if not is_gsm:
        assert "".join(part.decode("utf-16-be") for part in made.parts) == text
        costs = [2 if ord(each) > 0xFFFF else 1 for each in text]
        assert made.segments == fewest(costs, alone=70, part=67)


def test_ten_thousand_characters_are_66_parts_and_one_that_is_not_gsm_makes_them_150() -> None:
    assert parts_of("a" * 10_000).segments == 66
    assert parts_of("a" * 9_999 + "ț").segments == 150


def test_the_whole_is_the_parts_together_and_a_repr_shows_none_of_it() -> None:
    made = parts_of("canary " * 40)

    assert read_gsm(whole(made)) == "canary " * 40
    assert repr(made) == "Text(gsm7, segments=2)"
