"""What a mail server's settings mean, and which of them cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from processor.providers.smtp.config import DkimKey, SmtpConfig
from processor.settings.load import load_text
from tests.settings.small import changed, wrong
from tests.support.certificates import signing_key


def dkim(pem: str, *, domain: str = "example.com") -> dict[str, Any]:
    return {domain: {"selector": "s1", "key": {"env": "KEY"}}} if pem else {domain: {"selector": "s1"}}


def read(text: str, **environ: str) -> SmtpConfig:
    config = load_text(text, name="commproc.yaml", environ=environ).adapter_configs()["Gateway"]
    assert isinstance(config, SmtpConfig)
    return config


def test_a_key_is_read_from_a_file_and_shown_nowhere(tmp_path: Path) -> None:
    pem, _ = signing_key("ed25519")
    file = tmp_path / "dkim.pem"
    file.write_text(pem)

    config = read(
        changed("providers.Gateway", dkim={"example.com": {"selector": "s1", "key": {"file": str(file)}}}),
    )

    assert config.dkim == (DkimKey("example.com", "s1", pem.removesuffix("\n")),)
    assert pem.splitlines()[1] not in repr(config)


def test_codes_and_the_pause_are_read() -> None:
    config = read(changed("providers.Gateway", codes={"4.7.1": "deferred", "450": "throttled"}, login_pause="5m"))

    assert config.codes == {"4.7.1": "deferred", "450": "throttled"}
    assert config.login_pause_ms == 300_000


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"dkim": dkim("x")}, "providers.Gateway: dkim cannot sign the mails of from_address; write a private key as"),
        ({"dkim": dkim("")}, "providers.Gateway.dkim.example.com.key: is missing; write key: {env: NAME}"),
        (
            {"dkim": {"example.com": {"selector": "s1", "key": "x"}}},
            "providers.Gateway.dkim.example.com.key: is a secret written in the file",
        ),
        (
            {"dkim": {"example.com": {"selektor": "s1"}}},
            "providers.Gateway.dkim.example.com.selektor: is not a known key; write selector",
        ),
        ({"codes": {"250": "rejected"}}, "providers.Gateway.codes: hold what is no refusal's code; write codes"),
        ({"codes": {"450": "accepted"}}, "providers.Gateway.codes.450: "),
        (
            {"tls": "opportunistic", "username": "app", "password": {"env": "KEY"}},
            "providers.Gateway: would send its password in plain text",
        ),
    ],
)
def test_each_error_says_where_what_and_what_to_write(values: dict[str, Any], expected: str) -> None:
    lines = wrong(changed("providers.Gateway", **values), {"KEY": "canary-key"})

    assert any(line.partition(": ")[2].startswith(expected) for line in lines), lines
    assert not any("canary" in line for line in lines)


@pytest.mark.parametrize(
    "host", ["", "mail server", "mail.example.com:25", "a..b", "-a", "a" * 64, "http://a", "[::1]"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    lines = wrong(changed("providers.Gateway", host=host))

    assert any("providers.Gateway.host: " in line and "write its name" in line for line in lines), lines


@pytest.mark.parametrize("host", ["localhost", "relay_1", "mail.example.com.", "bücher.example", "::1", "10.0.0.1"])
def test_a_name_or_an_address_is_a_host(host: str) -> None:
    assert read(changed("providers.Gateway", host=host)).host == host


def test_a_key_of_another_domain_only_is_refused() -> None:
    lines = wrong(
        changed("providers.Gateway", dkim=dkim("x", domain="other.example")), {"KEY": signing_key("ed25519")[0]}
    )

    assert any("dkim cannot sign the mails of from_address; write a key for the domain" in line for line in lines)


def test_the_page_shows_a_configuration_that_production_takes(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/providers/smtp.md").read_text(encoding="utf-8")
    shown = page.partition("```yaml\n")[2].partition("```")[0]
    for name, text in (("gatewayemail_password", "x"), ("dkim_example_com.pem", signing_key("rsa")[0])):
        (tmp_path / name).write_text(text)
    gateway = yaml.safe_load(shown.replace("/run/secrets", str(tmp_path)))["providers"]["GatewayEmail"]

    config = read(
        changed("providers.Gateway", **gateway | {"bus_provider": "Bus"}), COMMPROC_GATEWAYEMAIL_USERNAME="app"
    )

    assert (config.host, config.password, config.codes) == ("mail.example.com", "x", {"4.7.1": "deferred"})
    assert [key.domain for key in config.dkim] == ["example.com"]


@pytest.mark.parametrize("tls", ["off", "opportunistic"])
def test_production_refuses_what_may_go_in_plain_text(tls: str) -> None:
    lines = wrong(changed("providers.Gateway", tls=tls) + "environment: production\n")

    assert any("providers.Gateway.tls" in line and "write starttls or implicit" in line for line in lines)
