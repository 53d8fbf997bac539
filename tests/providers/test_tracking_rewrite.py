"""An HTML body is led over us link by link, and every other byte stays what it was."""

from __future__ import annotations

import re
import zlib
from html import escape
from typing import Any

import lolhtml
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.tokens import HIDDEN_LINK, Keys, Purpose, Sealer, Ticket
from processor.providers.tracking.links import BLANKS, Kept, target, unescaped
from processor.providers.tracking.rewrite import LINKS_MAX, PLACEHOLDER, Order, Rewritten, rewritten
from processor.providers.tracking.tags import LINKS_READ_MAX, Link, markup

BASE = "https://t.example"
SEALER = Sealer(Keys(1, {1: b"a key of a test, long enough"}))
TICKET = Ticket("m-1", "Email", 1_750_000_000, "spring", "ref-1")
LEAVE = f"{BASE}/u/token"
OURS = re.compile(re.escape(BASE) + r"/([co])/([A-Za-z0-9_-]+)")
ADDED = re.compile(
    r'(?:<a href="https://t\.example/c/[\w-]+" style="display:none" tabindex="-1" aria-hidden="true"></a>)?'
    r'<img src="https://t\.example/o/[\w-]+" width="1" height="1" alt="" style="border:0">'
)

PIECES = [
    *(
        "<a href=",
        "<A HREF = ",
        "<area href=",
        "<a class='x y' href=",
        "<a/href=",
        "<a href>",
        "<a href",
        "<a =href=x href=",
    ),
    *(
        '"https://a.example/p?q=1&amp;r=2"',
        "'http://b.example/ü'",
        "https://c.example/x/",
        '"mailto:a@b.example"',
        '"#x"',
    ),
    *(
        '"{{ unsubscribe_url }}"',
        "'{{unsubscribe_url}}'",
        '"/relative"',
        '""',
        "''",
        '"',
        "'",
        "=",
        ">",
        "/>",
        " >",
        "<",
    ),
    *(
        ' data-track="off"',
        " DATA-TRACK=off",
        ' rel="nofollow Unsubscribe"',
        ' href="https://second.example"',
        ' title="a>b"',
    ),
    *("</a>", "text", "ü😀", "&amp;&copy", "\r\n", "\n", "\t", " ", "\x0c", "\ufeff", "<b", "<p>", "</p>", "<br/>"),
    *(
        "<html>",
        "<head>",
        "<body>",
        "<BODY class=x>",
        "</body>",
        "</BODY >",
        "</html>",
        "<!doctype html>",
        "<!-- ",
        " -->",
    ),
    *(
        "<!--[if mso]>",
        "<![endif]-->",
        "<![if !mso]>",
        "<![endif]>",
        "<![CDATA[",
        "]]>",
        "<?xml ",
        "<script>",
        "</script>",
    ),
    *(
        "<style>",
        "</style>",
        "<title>",
        "</title>",
        "<textarea>",
        "</textarea>",
        "<svg>",
        "</svg>",
        "<math><mi>",
        "</math>",
    ),
    *(
        "<select>",
        "</select>",
        "<table><tr>",
        "</table>",
        "<template>",
        "</template>",
        "<noscript>",
        "<plaintext>",
        "<xmp>",
    ),
    *(
        "if (a<b && '<a href=\"https://a.example\">') {}",
        "<commproc-end>",
        "https://t.example/c/x",
        '<a href="HTTPS://T.example/c">',
    ),
]


def bodies() -> st.SearchStrategy[str]:
    link = st.tuples(st.sampled_from(PIECES[:6]), st.sampled_from(PIECES[8:16]), st.sampled_from([">", " >", "/>"]))
    pieces = st.one_of(st.sampled_from(PIECES), link.map("".join), st.text(max_size=5))
    return st.lists(pieces, max_size=25).map("".join)


def asked(html: str, **order: Any) -> Rewritten:
    defaults: dict[str, Any] = {"opens": True, "clicks": True, "unsubscribe_url": LEAVE}
    return rewritten(html, Order(TICKET, BASE, **defaults | order), SEALER)


def clicked(html: str) -> list[tuple[int, str | None]]:
    """Position and address of each link that is led over us, in order."""
    tickets = [SEALER.open(Purpose.CLICK, token) for kind, token in OURS.findall(html) if kind == "c"]
    return [(ticket.position, ticket.url) for ticket in tickets if ticket is not None]


def test_links_are_led_over_us_and_a_pixel_stands_last_in_the_body() -> None:
    html = (
        '<html><body class="b"><p><A  target=_blank HREF = "https://a.example/?a=1&amp;region=2">x</A></body></html>\n'
    )

    found = asked(html)

    link, pixel = (match[0] for match in OURS.finditer(found.html))
    assert found == Rewritten(
        '<html><body class="b"><p><A  target=_blank HREF = "'
        f'{link}">x</A><img src="{pixel}" width="1" height="1" alt="" style="border:0"></body></html>\n'
    )
    assert SEALER.open(Purpose.CLICK, link.rpartition("/")[2]) == TICKET._replace(
        url="https://a.example/?a=1&region=2", position=0
    )
    assert SEALER.open(Purpose.OPEN, pixel.rpartition("/")[2]) == TICKET


@pytest.mark.parametrize(
    "kept",
    [
        '<a href="mailto:a@b.example">',
        '<a href="tel:+4072">',
        '<a href="#top">',
        '<a href="page.html">',
        '<a href="//a.example">',
        '<a href="javascript:alert(1)">',
        '<a href="java&#10;script:alert(1)">',
        '<a href="https://a.example" data-track="off">',
        '<a data-track=" OFF " href="https://a.example">',
        '<a rel="nofollow unsubscribe" href="https://a.example">',
        f'<a href="{BASE}/u/xyz">',
        f'<a href="{BASE.upper()}">',
        '<a href="https://leave.example/?m=m-1&amp;x=2">',
        '<a name="https://a.example">',
        "<link href='https://a.example'><base href='https://a.example'><img src='https://a.example'>",
        '<form action="https://a.example">',
        '<!-- <a href="https://a.example"> -->',
        '<!--[if mso]><a href="https://a.example"><![endif]-->',
        "<script>'<a href=\"https://a.example\">'</script>",
        '<style>a{background:url("https://a.example")}</style>',
        '<textarea><a href="https://a.example"></textarea>',
        "https://a.example",
        '<a href=" {{ unsubscribe_url }} x">',
        '<b href="https://a.example">',
    ],
)
def test_what_is_no_link_to_the_web_stays_as_it_was(kept: str) -> None:
    html = f"<body>{kept}</body>"

    assert asked(html, opens=False, unsubscribe_links=frozenset({"https://leave.example/?m=m-1&x=2"})).html == html


def test_the_placeholder_leads_to_the_page_for_unsubscribing_wherever_it_is_the_whole_href() -> None:
    html = "<a href='{{unsubscribe_url}}'>{{ unsubscribe_url }}</a><a data-track=off href=\" {{ unsubscribe_url }} \">"

    for clicks in (True, False):
        assert asked(html, opens=False, clicks=clicks).html == (
            f"<a href='{LEAVE}'>{{{{ unsubscribe_url }}}}</a><a data-track=off href=\"{LEAVE}\">"
        )
    assert asked(html, opens=False, unsubscribe_url=None).html == html


def test_every_link_counts_whether_it_is_tracked_or_not() -> None:
    html = '<a href="#a"></a><a href=http://a.example>1</a><area href="https://b.example"><a href="mailto:x@y"><a href=http://c.example/>'

    assert clicked(asked(html).html) == [
        (1, "http://a.example"),
        (2, "https://b.example"),
        (4, "http://c.example/"),
    ]


def test_opens_and_clicks_are_asked_for_apart() -> None:
    html = '<a href="https://a.example">x</a>'

    assert [kind for kind, _ in OURS.findall(asked(html, clicks=False).html)] == ["o"]
    assert [kind for kind, _ in OURS.findall(asked(html, opens=False).html)] == ["c"]
    assert asked(html, opens=False, clicks=False).html == html


def test_the_hidden_link_is_signed_and_nobody_sees_it() -> None:
    found = asked("<body>x</body>", hidden_link=True)

    assert clicked(found.html) == [(HIDDEN_LINK, f"{BASE}/")]
    assert ADDED.sub("", found.html) == "<body>x</body>"


@pytest.mark.parametrize(
    ("html", "before"),
    [
        ("<body><p>x</body></html>", "<body><p>x"),
        ("<body><body>x</body></body>", "<body><body>x</body>"),
        ("x</body>", "x</body>"),
        ("<body>x", "<body>x"),
        ("x", "x"),
        ("", ""),
        ("<p>x</p>\n", "<p>x</p>\n"),
        ("<body>x</body", "<body>x</body"),
    ],
)
def test_the_pixel_stands_at_the_end_of_the_body_or_of_all(html: str, before: str) -> None:
    found = asked(html)

    if html == "<body>x</body":  # an end tag without an end: whatever follows would belong to it
        assert (found.html, found.ended) == (html, False)
    else:
        assert found.html.startswith(f"{before}<img ")
        assert ADDED.sub("", found.html) == html


@pytest.mark.parametrize(
    "end",
    [
        "<!-- x",
        "<a href='https://a.example",
        "<a href='https://a.example' ",
        "<a href=https://a.example",
        "<textarea>",
        "<script>",
        "<title>x",
        "<a x=1 ",
    ],
)
def test_a_pixel_that_would_become_part_of_something_else_is_left_out(end: str) -> None:
    found = asked(f"<p>x{end}")

    assert found == Rewritten(f"<p>x{end}", ended=False)


@pytest.mark.parametrize(
    "html",
    [
        "<select><xmp><a href='https://a.example'>",
        "<a href='https://a.example'>\x00",
        "<a href='https://a.example'>\ud800",
        "<a href=x>" * (LINKS_READ_MAX + 1),
    ],
)
def test_html_that_cannot_be_told_apart_goes_out_as_it_came(html: str) -> None:
    assert asked(html) == Rewritten(html, readable=False)


def test_a_link_too_long_for_a_token_keeps_its_address() -> None:
    noise = zlib.compress(bytes(range(256)) * 9).hex() + "".join(f"{zlib.crc32(b'%d' % n):x}" for n in range(300))
    html = f'<a href="https://a.example/{noise}">x</a><a href="https://b.example">y</a>'

    found = asked(html, opens=False)

    assert found.kept == (Kept.TOO_LONG,)
    assert clicked(found.html) == [(1, "https://b.example")]


def test_a_long_reference_of_the_producer_is_left_out_before_a_link_is() -> None:
    long = "".join(f"{zlib.crc32(b'%d' % n):08x}" for n in range(250))

    found = rewritten(
        '<a href="https://b.example">', Order(TICKET._replace(external_id=long), BASE, clicks=True), SEALER
    )

    assert found.kept == ()
    assert clicked(found.html) == [(0, "https://b.example")]


def test_only_so_many_links_are_tracked_but_the_one_to_unsubscribe_is_always() -> None:
    html = "<a href=http://a.example>" * (LINKS_MAX + 5) + '<a href="{{ unsubscribe_url }}">'

    found = asked(html, opens=False)

    assert len(clicked(found.html)) == LINKS_MAX
    assert found.kept == (Kept.TOO_MANY,) * 5
    assert found.html.endswith(f'<a href="{LEAVE}">')


def test_a_link_that_programs_read_differently_is_counted_and_kept() -> None:
    html = '<a href="https://good.example\\@evil.example/">'

    assert asked(html, opens=False) == Rewritten(html, (Kept.STRANGE,))


@given(html=bodies(), hidden=st.booleans())
@example(html="<a href=https://c.example/x/>", hidden=False)
@example(html="<a href='https://a.example'</body>", hidden=True)
@example(html="\ufeff<body>\r\r\n</body>", hidden=False)
def test_with_what_we_wrote_taken_back_it_is_the_same_byte_for_byte(html: str, hidden: bool) -> None:
    found = asked(html, hidden_link=hidden)

    assert restored(found.html, markup(html.encode()).links if found.readable else []).encode() == html.encode()


def restored(html: str, links: list[Link]) -> str:
    """Return *html* without what is added, and with the hrefs of *links* where ours are."""
    placeholders = iter([link.href for link in links if PLACEHOLDER.fullmatch(unescaped(link.href).strip(BLANKS))])

    def before(ours: re.Match[str]) -> str:
        if ours[0] == LEAVE:
            return next(placeholders)
        ticket = SEALER.open(Purpose.CLICK, ours[2])
        return ours[0] if ticket is None else links[ticket.position].href

    return re.sub(re.escape(BASE) + r"/([cu])/([A-Za-z0-9_-]+)", before, ADDED.sub("", html, count=1))


@given(html=bodies())
def test_a_reader_finds_the_same_elements_and_attributes_but_for_our_addresses(html: str) -> None:
    found = asked(html, opens=False)

    if found.readable:
        before, after = elements(html), elements(found.html)
        assert [name for name, _ in before] == [name for name, _ in after]
        for (_, old), (_, new) in zip(before, after, strict=True):
            assert [each for each in old if each[0] != "href"] == [each for each in new if each[0] != "href"]
            for (_, was), (_, now) in zip(old, new, strict=True):
                assert was == now or OURS.fullmatch(now) or now == escape(LEAVE)


def elements(html: str) -> list[tuple[str, list[tuple[str, str]]]]:
    seen: list[tuple[str, list[tuple[str, str]]]] = []

    class Every:
        def element(self, element: lolhtml.Element) -> None:
            seen.append((element.tag_name, element.attributes))

    rewriter = lolhtml.HTMLRewriter(lambda _: None)
    rewriter.on("*", Every())
    rewriter.write(html.encode())
    rewriter.end()
    return seen


@given(html=bodies())
def test_whatever_the_markup_what_leads_over_us_leads_where_the_source_led(html: str) -> None:
    links = markup(html.encode()).links if asked(html).readable else []

    for position, url in clicked(asked(html).html):
        assert url == target(unescaped(links[position].href))
        assert not links[position].is_left_alone


@given(html=bodies())
def test_every_link_to_the_web_is_tracked_or_its_reason_counted(html: str) -> None:
    found = asked(html)
    if not found.readable:
        return
    web = [
        link
        for link in markup(html.encode()).links
        if not link.is_left_alone and isinstance(target(unescaped(link.href)), str)
    ]
    tracked = clicked(found.html)
    own = [link for link in web if str(target(unescaped(link.href))).lower().startswith(BASE)]

    assert len(tracked) + len(found.kept) + len(own) == len(web)
