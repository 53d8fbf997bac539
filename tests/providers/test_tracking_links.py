"""What is signed of a link is what a browser reads of it, or nothing is signed."""

from __future__ import annotations

import json
import random
import re
import subprocess
from html import escape, unescape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from processor.providers.tracking.links import Kept, target, unescaped

if TYPE_CHECKING:
    from pathlib import Path

PIECES = [
    *(
        "http",
        "https",
        "HTTPS",
        "hTTp",
        "javascript",
        "mailto",
        "ftp",
        "data",
        ":",
        "://",
        "//",
        "/",
        "///",
        "\\",
        "\\\\",
    ),
    *("a.example", "A.Example", "b.example.", "bücher.example", "faß.example", "x_y.example", "a..b", "-a.example"),
    *(
        "xn--bcher-kva.example",
        "xn--a.example",
        "\uff11.example",
        "\u210c.example",
        "a。example",
        "127.0.0.1",
        "0x7f.1",
        "1.2.3",
    ),
    *("[::1]", "256.1.1.1", "a.1", "user@", "user:pw@", ":8080", ":0080", ":", ":99999", "%41", "%", "%zz", "%2F"),
    *("/p", "/a b", "/ü", "?q=1", "?q=ü&amp;r='2'", "&region=x", "&copy=1", "&copy;", "&amp;", "&#104;ttp", "&#x3a;"),
    *(
        "&#10;",
        "&#9;",
        "&Tab;",
        "&NewLine;",
        "&colon;",
        "&sol;",
        "&#0;",
        "&#x80;",
        "&#xd800;",
        "&#99999999999;",
        "#f`|^{}",
    ),
    *(
        "\t",
        "\n",
        "\r",
        " ",
        "\x0c",
        "\x01",
        "\x7f",
        "\x85",
        "\u00a0",
        "\u200b",
        "\u2028",
        "\u202e",
        "\ufdd0",
        "\ufffd",
    ),
    *('"', "<", ">", "'", "^", "|", "[", "]", "{{ x }}", "?", "#", "..", "/../", "/./", "%2e%2e/", "@", ";", "😀"),
]


def looks() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(PIECES), max_size=7).map("".join)


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("https://a.example", "https://a.example"),
        ("HTTPS://A.example:8443/p?q=1#f", "https://A.example:8443/p?q=1#f"),
        (" \r\n\thttp://a.example/ \n", "http://a.example/"),
        ("https://a.example/a b?c=ü", "https://a.example/a%20b?c=%C3%BC"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("http://127.0.0.1:8081/c", "http://127.0.0.1:8081/c"),
        ("https://x_y.example/{{ id }}", "https://x_y.example/{{%20id%20}}"),
        ("mailto:a@b.example", None),
        ("tel:+40722000111", None),
        ("#top", None),
        ("", None),
        ("page.html", None),
        ("//b.example/p", None),
        ("javascript:alert(1)", None),
        ("java\nscript:alert(1)", None),
        ("ftp://a.example/", None),
        ("http:a.example", Kept.STRANGE),
        ("https:/a.example", Kept.STRANGE),
        ("https:///a.example", Kept.STRANGE),
        ("ht\ntps://a.example", Kept.STRANGE),
        ("https://a.exa\tmple/", Kept.STRANGE),
        ("https://a.example/\x00", Kept.STRANGE),
        ("\x01https://a.example/", Kept.STRANGE),
        ("https://user@a.example/", Kept.STRANGE),
        ("https://a.example@b.example/", Kept.STRANGE),
        ("https://a.example\\@b.example/", Kept.STRANGE),
        ("https://a.example\\.b.example/", Kept.STRANGE),
        ("https://a.example:/", Kept.STRANGE),
        ("https://a.example:65536/", Kept.STRANGE),
        ("https://a%2eexample/", Kept.STRANGE),
        ("https://[::1]/", Kept.STRANGE),
        ("https://a。example/", Kept.STRANGE),
        ("https://\uff45xample.com/", Kept.STRANGE),
        ("https://0x7f.1/", Kept.STRANGE),
        ("https://2130706433/", Kept.STRANGE),
        ("https://xn--a.example/", Kept.STRANGE),
        ("https://", Kept.STRANGE),
    ],
)
def test_only_an_address_that_everybody_reads_alike_is_signed(href: str, url: str | Kept | None) -> None:
    assert target(href) == url


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("?a=1&amp;b=2", "?a=1&b=2"),
        ("?a=1&region=x&copy=1&times=3&lt=4&not", "?a=1&region=x&copy=1&times=3&lt=4¬"),
        ("&#104;t&#x74;p&colon;", "http:"),
        ("&#x3A&#47;", ":/"),
        ("&unknown; & &; &# &#x &#xg", "&unknown; & &; &# &#x &#xg"),
        ("&notin; &notit;", "∉ &notit;"),
    ],
)
def test_references_are_read_as_in_an_attribute(value: str, text: str) -> None:
    assert unescaped(value) == text


@given(text=st.text())
def test_what_was_escaped_comes_back(text: str) -> None:
    assert unescaped(escape(text)) == text
    assert unescaped(text.replace("&", "&amp;")) == unescape(text.replace("&", "&amp;"))


@given(href=st.one_of(looks(), looks().map("https://".__add__), st.text(), st.text().map("http://".__add__)))
@example("https://a.example/\u0085")
def test_what_is_signed_is_ascii_absolute_http_in_every_parser(href: str) -> None:
    url = target(unescaped(href))

    if isinstance(url, str) and not isinstance(url, Kept):
        assert re.fullmatch(r"https?://[!-~]+", url)
        assert not re.search(r'[\\"<>]', url)
        assert urlsplit(url).scheme in {"http", "https"}
        assert urlsplit(url).username is None
        assert urlsplit(url).hostname == (URL(url, encoded=True).raw_host or "").lower()
        assert target(url) == url


def test_a_browser_reads_what_is_signed_as_it_reads_the_link(chromium: str, tmp_path: Path) -> None:
    chance = random.Random(5)
    hrefs = [
        chance.choice(("", "", "http://", "https://a.example", "https://a.example/", "https://"))
        + "".join(chance.choices(PIECES, k=chance.randint(0, 6)))
        for _ in range(20_000)
    ]
    hrefs = [href.replace('"', "&quot;").replace("\x00", "") for href in hrefs]
    pairs = [(href, url) for href in hrefs if isinstance(url := target(unescaped(href)), str) and url not in set(Kept)]
    page = tmp_path / "page.html"
    page.write_text(
        '<!doctype html><meta charset="utf-8">'
        + "".join(f'<a href="{href}" data-signed="{escape(url)}"></a>' for href, url in pairs)
        + "<pre></pre><script>document.querySelector('pre').textContent = JSON.stringify("
        "[...document.querySelectorAll('a')].map(a => [a.href, new URL(a.dataset.signed).href]))</script>",
        encoding="utf-8",
        newline="",
    )

    read = json.loads(unescape(dom(chromium, page).split("<pre>")[1].split("</pre>")[0]))

    assert len(read) == len(pairs) > 1_000
    assert [(pair, each) for pair, each in zip(pairs, read, strict=True) if each[0] != each[1]] == []


def dom(chromium: str, page: Path) -> str:
    """Return what a real browser makes of *page*."""
    profile = page.parent / "profile"
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom"]
    return subprocess.run([*command, page.as_uri()], capture_output=True, check=True, timeout=100).stdout.decode()
