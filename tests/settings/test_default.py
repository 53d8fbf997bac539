"""The packaged configuration works as it is against the packaged sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from processor.core.message import Head, Message
from processor.core.outcome import Accepted
from processor.providers.adapter import Submission
from processor.settings import load
from tests.providers.twins import opened, sandbox_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from processor.sandbox.servers import Sandbox

CONTENT: Mapping[str, Mapping[str, Any]] = {
    "EMAIL": {"to": "jane@example.com", "subject": "Hello", "text": "Hello", "html": "<p>Hello</p>"},
    "SMS": {"to": "+40700000001", "text": "Hello"},
}
CREDENTIALS = {
    "COMMPROC_FTOSEMAILGATEWAY_APP_KEY": "s3cret",
    "COMMPROC_FTOSAPISMS_API_KEY": "s3cret",
    "COMMPROC_GATEWAYSMS_SYSTEM_ID": "app",
    "COMMPROC_GATEWAYSMS_PASSWORD": "s3cret",
    "COMMPROC_GATEWAYSMSOTP_SYSTEM_ID": "app",
    "COMMPROC_GATEWAYSMSOTP_PASSWORD": "s3cret",
    "COMMPROC_GATEWAYEMAIL_USERNAME": "app",
    "COMMPROC_GATEWAYEMAIL_PASSWORD": "s3cret",
    "COMMPROC_GATEWAYEMAILOTP_USERNAME": "app",
    "COMMPROC_GATEWAYEMAILOTP_PASSWORD": "s3cret",
}


def places(sandbox: Sandbox) -> Mapping[str, str]:
    """Return the environment that points every provider at a sandbox."""
    return {
        "COMMPROC_GATEWAYEMAIL_PORT": str(sandbox.smtp_port),
        "COMMPROC_GATEWAYEMAILOTP_PORT": str(sandbox.smtp_port),
        "COMMPROC_FTOSEMAILGATEWAY_URL": f"{sandbox.http_url}/email",
        "COMMPROC_GATEWAYSMS_PORT": str(sandbox.smsc_port),
        "COMMPROC_GATEWAYSMSOTP_PORT": str(sandbox.smsc_port),
        "COMMPROC_FTOSAPISMS_URL": f"{sandbox.http_url}/sms",
    }


@pytest.mark.parametrize("credentials", [False, True], ids=["without credentials", "with credentials"])
async def test_every_provider_delivers_to_the_sandbox(tmp_path: Path, *, credentials: bool) -> None:
    login: dict[str, Any] = {"username": "app", "password": "s3cret"} if credentials else {}
    async with sandbox_at(tmp_path, **login) as sandbox:
        settings = load(None, {**places(sandbox), **(CREDENTIALS if credentials else {})})
        configs = settings.adapter_configs()

        for name, provider in settings.plan().providers.items():
            message = Message(Head(f"m-{name}", "any"), **CONTENT[provider.bus_channel])
            async with opened(configs[name]) as adapter:
                (outcome,) = await adapter.send([Submission(message, attempt=2)])
            assert isinstance(outcome, Accepted), (name, outcome)
            assert outcome.provider_message_id or provider.adapter == "smtp", name

    entries = [json.loads(line) for line in sandbox.ledger_path.read_text().splitlines()]
    assert [(entry["message_id"], entry["attempt"], entry["accepted"]) for entry in entries] == [
        (f"m-{name}", 2, True) for name in configs
    ]


def test_its_newsletters_are_tracked_where_it_is_told_where() -> None:
    for url in ("", "http://127.0.0.1:8081"):
        settings = load(None, {"COMMPROC_TRACKING_URL": url})
        forms = {code: channel.form for code, channel in settings.plan().channels.items()}
        tracked = [code for code, form in forms.items() if form.tracks_opens and form.tracks_clicks]

        assert (settings.tracking_config() is not None) is bool(url)
        assert tracked == (["Newsletter"] if url else [])
