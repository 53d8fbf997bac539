"""Which addresses are one address, and how one is written on the wire."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.providers.content import ADDRESS_CHARS_MAX, is_address, is_mailbox, wire_address


@pytest.mark.parametrize(
    ("mailbox", "wire"),
    [
        ("ann@example.org", "ann@example.org"),
        ("ann@Bücher.Example", "ann@xn--bcher-kva.example"),
        ("ann@straße.example", "ann@xn--strae-oqa.example"),  # not strasse: UTS 46, non-transitional
        ("ann@例え.テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
        ("用户@example.org", "用户@example.org"),
        ("δοκιμή.x@παράδειγμα.δοκιμή", "δοκιμή.x@xn--hxajbheg2az3al.xn--jxalpdlp"),
    ],
)
def test_an_address_beyond_ascii_is_one_and_its_domain_goes_in_a_labels(mailbox: str, wire: str) -> None:
    assert is_mailbox(mailbox)
    assert wire_address(mailbox) == wire


@pytest.mark.parametrize(
    "text",
    [
        "ü@b,c@d",
        "ü,a@b.example",
        "ü;a:@b.example",
        "ü a@b.example",
        '"ü"@b.example',
        "ü@b> SIZE=1",
        "ü@b\r\nRCPT TO:<x@y>",
        "ü@b\u2028",
        "ü@b\u202e",
        "ü\u202eb@c.example",
        "a\u200bü@b.example",
        "a@b\u200b.example",
        "a@b\u00ad.example",  # soft hyphen: UTS 46 would drop it
        "a@e\u034fxample.org",  # combining grapheme joiner: likewise
        "a\uff20b@c.example",  # a full-width @ in the local part: NFKC makes it one
        "a@b\uff20c.example",
        "a@\uff42.example",
        "a@b\u3002example",  # an ideographic full stop
        "a@\u2100.example",  # would be a/c
        "a\uff0cb@c.example",
        "\ufb01@c.example",  # a ligature
        "a\u00a0ü@b.example",
        "a\u3000ü@b.example",
        "ü\ud800@b.example",
        "a@\ud800.example",
        "ü..b@c.example",
        ".ü@c.example",
        "ü@",
        "@ü",
        "ü",
        "ü@-b.example",
        "ü@b..example",
        "a@xn--a.ü",
        f"{'ü' * 33}@b.example",  # 66 octets
        f"a@{'ü' * 64}.example",
        f"ü@{'b.' * 130}c",
        "Ann <ü@b.example>",
        "ü@b@c.example",
    ],
)
def test_what_some_reader_takes_for_another_address_is_none(text: str) -> None:
    assert not is_mailbox(text)


@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=40))
@example("a", "b\u200b.example")
@example("ü", "b\uff20c")
def test_what_is_an_address_has_one_at_sign_no_blank_and_an_ascii_domain(local: str, domain: str) -> None:
    text = f"{local}@{domain}"
    if not is_mailbox(text):
        return
    before, _, after = wire_address(text).rpartition("@")
    assert is_address(f"x@{after}")
    assert not {"@", " ", ",", ";", ":", "<", ">", '"', "\r", "\n"} & set(before)
    assert before.isprintable()
    assert len(wire_address(text).encode()) <= ADDRESS_CHARS_MAX
    assert wire_address(wire_address(text)) == wire_address(text)
