"""A redirect goes to an absolute address of http or https, or nowhere."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.targets import target_of

PIECES = [
    "http://",
    "https:",
    "//",
    "/",
    "\\",
    "evil.example",
    "@",
    "javascript:",
    "data:",
    "\r\n",
    "\t",
    " ",
    "é",
    "?",
]


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com/a?b=c&d=%C3%A9#e", "https://example.com/a?b=c&d=%C3%A9#e"),
        ("HTTP://Example.com", "HTTP://Example.com"),
        ("https://user@example.com/", "https://user@example.com/"),
        ("https://example.com/é ü", "https://example.com/%C3%A9%20%C3%BC"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        (" \n https://example.com/a\n\tb ", "https://example.com/ab"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
        ("https://example.com/{a}|b", "https://example.com/{a}|b"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("//evil.example", None),
        ("/relative", None),
        ("https:evil.example", None),
        ("https:///evil.example", None),
        ("https:\\\\evil.example", None),
        ("http://\\evil.example", None),
        ("http://?x", None),
        ("mailto:ann@example.org", None),
        ("https://", None),
        ("", None),
        (None, None),
    ],
)
def test_only_absolute_addresses_of_the_web_pass(url: str | None, target: str | None) -> None:
    assert target_of(url) == target


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=8).map("".join))
def test_what_passes_can_stand_in_a_header_and_names_a_host(url: str) -> None:
    target = target_of(url)

    if target is not None:
        assert target.isascii()
        assert target.isprintable()
        assert " " not in target
        assert target.lower().startswith(("http://", "https://"))
        assert target.partition("://")[2][:1] not in {"", "/", "\\", "?"}
        assert urlsplit(target.lower()).scheme in {"http", "https"}
        assert target_of(target) == target
