"""Providers that name a preset, and where attachments may come from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from processor.providers import presets
from processor.providers.catalogue import open_adapter
from processor.settings.load import load_text
from tests.settings.small import HTTP, SMALL, changed, wrong

if TYPE_CHECKING:
    from processor.settings import Settings

SENDGRID = {
    "adapter": "http",
    "preset": "sendgrid",
    "bus_provider": "Bus",
    "bus_channel": "EMAIL",
    "token": {"env": "TOKEN"},
    "settings": {"from_address": "bank@example.com"},
}
TOKEN = {"TOKEN": "s3cret"}


def loaded(section: str, **values: Any) -> Settings:
    return load_text(changed(section, **values), name="commproc.yaml", environ=TOKEN)


def provider(**values: Any) -> Any:
    return loaded("providers", Other=SENDGRID | values).adapter_configs()["Other"]


def test_a_provider_says_only_what_is_its_own_and_the_preset_the_rest() -> None:
    config = provider()

    assert config.url == "https://{{ settings.host }}/v3/mail/send"
    assert config.settings["host"] == "api.sendgrid.com"
    assert config.settings["from_address"] == "bank@example.com"
    assert (config.auth, config.token, config.recipient_kind) == ("bearer", "s3cret", "email")


def test_a_provider_s_own_keys_win_over_the_preset_s_one_row_at_a_time() -> None:
    config = provider(
        statuses={"403": "rejected", "418": "deferred"}, settings={"from_address": "a@b.example", "host": "eu.example"}
    )

    assert (config.statuses[403], config.statuses[418], config.statuses[401]) == (
        "rejected",
        "deferred",
        "authentication",
    )
    assert config.settings["host"] == "eu.example"
    assert config.settings["reply_to"] == ""
    assert provider(body={"x": "{{ to }}"}).body == {"x": "{{ to }}"}


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"preset": "sendgird"}, "is not a preset; write one of infobip, mailgun, postmark, sendgrid, "),
        ({"settings": {}}, "names settings that are not there: from_address; write them, below settings"),
        ({"settings": {"from_address": "a@b.example", "host": ""}}, "names settings that are not there: host"),
        ({"preset": "ses", "username": "AKID", "password": {"env": "TOKEN"}, "settings": {"from": "a@b"}}, "region"),
        ({"url": "https://{{ to }}/"}, "holds a placeholder that a URL may not"),
        ({"url": "https://{{ settings.host }}:x y/"}, "is not an http(s) URL"),
        ({"body": {"x": {"{{ each nobody }}": "{{ it }}"}}}, "holds a placeholder that is not known"),
        ({"body": {"x": {"{{ eech cc }}": "{{ it }}"}}}, "holds {{ that begins no placeholder"),
        ({"body": {"x": {"{{ each cc }}": "{{ it }}", "y": 1}}}, "holds {{ that begins no placeholder"),
        ({"body": {"x": "{{ the subject }}"}}, "holds {{ that begins no placeholder"),
        ({"headers": {"X Tag": "a"}}, "is not the name of a header"),
        ({"headers": {"content-type": "text/xml"}}, "Content-Type follows body_kind"),
        ({"auth_header": "X-Key:"}, "is not the name of a header"),
        ({"idempotency_header": "Content-Length"}, "is not the name of a header"),
        ({"headers": {"X-Auth-Token": "s3cret"}}, "writes X-Auth-Token in clear"),
        ({"query": {"api_key": "s3cret"}}, "writes api_key in clear"),
        ({"body": {"login": [{"appPassword": "s3cret"}]}}, "writes appPassword in clear"),
        ({"body": {"x": {"{{ fit to }}": "80"}}}, "holds {{ that begins no placeholder"),
        ({"query": {"key": "{{ nobody }}"}}, "holds a placeholder that is not known"),
        ({"body": {"key": "{{ password }}"}}, "names password in a template, and nobody gives it"),
        ({"retry_after_headers": {"X-Wait": "weeks"}}, "is not one of the known values"),
        ({"body_kind": "multipart", "body": ["x"]}, "has a form that is not a mapping"),
    ],
)
def test_what_a_service_could_not_work_with_is_told(values: dict[str, Any], error: str) -> None:
    errors = wrong(changed("providers", Other=SENDGRID | values), TOKEN)

    assert any("providers.Other" in line and error in line for line in errors), errors
    assert not any("s3cret" in line for line in errors)


def test_a_key_in_the_query_is_a_secret_like_any_other() -> None:
    keyed = HTTP | {"bus_provider": "Bus", "query": {"key": "{{ token }}"}, "token": {"env": "TOKEN"}}

    config: Any = loaded("providers", Other=keyed).adapter_configs()["Other"]

    assert config.token == "s3cret"
    assert "s3cret" not in repr(config)
    assert any(
        "is a secret written in the file" in line for line in wrong(changed("providers", Other=keyed | {"token": "x"}))
    )


PAGE = Path(__file__).parents[2] / "docs" / "providers" / "http.md"


def test_the_examples_of_the_page_work_as_they_stand_and_its_table_names_every_preset() -> None:
    page = PAGE.read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)

    assert len(examples) == 3
    for example in examples:
        tree = yaml.safe_load(SMALL)
        for section, values in yaml.safe_load(example).items():
            tree.setdefault(section, {}).update(values)
        environ = dict.fromkeys(re.findall(r"env: (\w+)", example), "s3cret")
        settings = load_text(yaml.safe_dump(tree), name="commproc.yaml", environ=environ)
        for name, config in settings.adapter_configs().items():
            open_adapter(settings.providers[name].adapter, config)
    assert re.findall(r"^\| `(\w+)` \| \[", page, re.MULTILINE) == sorted(presets.NAMES, key=ORDER.index)


ORDER = ["sendgrid", "mailgun", "postmark", "ses", "twilio", "vonage", "infobip", "sinch"]


def test_a_call_for_several_messages_may_take_the_time_of_two() -> None:
    (one, several) = (
        loaded("providers", Other=SENDGRID | {"item": {"x": "{{ to }}"}, "body": "{{ items }}", "bulk_size": size})
        for size in (1, 2)
    )

    times = [settings.plan().providers["Other"].call_timeout_ms for settings in (one, several)]
    assert times == [45_000, 85_000]


# Attachments.


def test_references_are_refused_and_sizes_bounded_where_nothing_is_said() -> None:
    config = load_text(SMALL, name="commproc.yaml", environ={}).attachments.config()

    assert (config.file_roots, config.hosts, config.loopback_hosts) == ((), (), ())
    assert (config.bytes_max, config.total_bytes_max, config.timeout_ms) == (10 << 20, 20 << 20, 10_000)


def test_the_time_to_fetch_attachments_is_added_to_a_call_s() -> None:
    usual = load_text(SMALL, name="commproc.yaml", environ={}).plan().providers["Gateway"].call_timeout_ms
    fetching = loaded("attachments", hosts=["files.example.com"], timeout="7s")

    assert fetching.plan().providers["Gateway"].call_timeout_ms == usual + 7_000


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("file_roots", ["/"], "is not a folder"),
        ("file_roots", ["files"], "is not a folder"),
        ("hosts", ["https://files.example.com"], "is not a server"),
        ("hosts", ["*.example.com"], "is not a server"),
        ("loopback_hosts", ["127.0.0.1"], "has no port"),
        ("content_types", ["pdf"], "is not a content type"),
        ("bytes_max", "0B", "is too small"),
    ],
)
def test_a_place_or_bound_that_would_not_hold_is_told(key: str, value: Any, error: str) -> None:
    (line,) = wrong(changed("attachments", **{key: value}))

    assert f"attachments.{key}" in line
    assert error in line


def test_production_lets_no_message_reach_this_machine() -> None:
    errors = wrong(changed("", environment="production", attachments={"loopback_hosts": ["127.0.0.1:8443"]}))

    assert any("lets messages reach this machine, which production refuses" in line for line in errors)
