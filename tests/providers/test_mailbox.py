"""The sandbox's mailbox shows what its recipients would see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp

from processor.core.outcome import Accepted
from tests.providers.twins import opened, sandbox_at, smtp_config, submission

if TYPE_CHECKING:
    from pathlib import Path

HTML = "<p>.\n..dots\n</p><a href='https://example.com/ä'>Grüße</a>"


async def test_a_mail_is_shown_as_it_was_written(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path, mailbox=tmp_path / "mails") as sandbox:
        async with opened(smtp_config(sandbox.smtp_port)) as adapter:
            outcomes = await adapter.send([submission("a@example.com", text="plain", html=HTML)])
        listed = await got(f"{sandbox.http_url}/mailbox")
        shown = await got(f"{sandbox.http_url}/mailbox/1")
        source = await got(f"{sandbox.http_url}/mailbox/1/source")

    assert [type(each) for each in outcomes] == [Accepted]
    summary = json.loads(listed[1])
    assert (summary["n"], summary["html"]) == (1, True)
    assert summary["headers"]["message-id"].startswith("<m-1@")
    assert shown[0] == 200
    assert shown[1].replace("\r\n", "\n").rstrip("\n") == HTML
    assert "Message-ID: <m-1@" in source[1]


async def test_a_mail_that_came_over_http_is_shown_too(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path, mailbox=tmp_path / "mails") as sandbox, aiohttp.ClientSession() as client:
        async with client.post(f"{sandbox.http_url}/email", json={"to": "a@example.com", "html": HTML}) as answer:
            assert answer.status == 202
        shown = await got(f"{sandbox.http_url}/mailbox/1")

    assert shown == (200, HTML)


async def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path, mailbox=tmp_path / "mails") as sandbox:
        assert (await got(f"{sandbox.http_url}/mailbox/7"))[0] == 404
        assert (await got(f"{sandbox.http_url}/mailbox/7/source"))[0] == 404
        assert (await got(f"{sandbox.http_url}/mailbox?after=x"))[0] == 400
        assert (await got(f"{sandbox.http_url}/mailbox/..%2F..%2Fetc"))[0] == 404
        assert await got(f"{sandbox.http_url}/mailbox") == (200, "")


async def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path) as sandbox:
        assert (await got(f"{sandbox.http_url}/mailbox"))[0] == 404


async def got(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return answer.status, await answer.text()
