"""The configuration is read once, and everything that is wrong with it is told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from processor.core.words import InDoubt, Lane
from processor.providers.http.adapter import HttpAdapter
from processor.providers.http.config import HttpConfig
from processor.providers.smpp.adapter import SmppAdapter
from processor.providers.smpp.config import SmppConfig
from processor.providers.smtp.adapter import SmtpAdapter
from processor.settings import ConfigurationError, load
from tests.settings.small import HTTP, SMALL, changed, wrong

if TYPE_CHECKING:
    from pathlib import Path


class TestTheDefaultConfiguration:
    def test_it_has_the_six_providers_and_four_channels_that_users_know_and_one_for_newsletters(self) -> None:
        plan = load(None, {}).plan()

        assert set(plan.channels) == {"Email", "Newsletter", "EmailOTP", "SMS", "SMSOTP"}
        assert {name: provider.adapter for name, provider in plan.providers.items()} == {
            "FTOSEmailGateway": "http",
            "GatewayEmail": "smtp",
            "GatewayEmailOTP": "smtp",
            "GatewaySMS": "smpp",
            "GatewaySMSOTP": "smpp",
            "FTOSApiSMS": "http",
        }
        assert plan.channels["Email"].providers == ("FTOSEmailGateway", "GatewayEmail", "GatewayEmailOTP")

    @pytest.mark.parametrize("code", ["EmailOTP", "SMSOTP"])
    def test_one_time_passwords_are_urgent_short_lived_and_never_sent_twice(self, code: str) -> None:
        channel = load(None, {}).plan().channels[code]

        assert (channel.lane, channel.validity_ms, channel.in_doubt) == (Lane.EXPRESS, 300_000, InDoubt.REPORT)

    def test_it_needs_no_credentials_for_the_sandbox(self) -> None:
        configs = load(None, {}).adapter_configs()

        assert configs["GatewayEmail"].password is None
        assert configs["GatewaySMS"].password == ""
        assert configs["FTOSApiSMS"].auth == "none"  # type: ignore[union-attr]

    def test_its_places_and_credentials_come_from_the_environment(self) -> None:
        environ = {
            "COMMPROC_GATEWAYEMAIL_HOST": "mail.example.com",
            "COMMPROC_GATEWAYEMAIL_PORT": "465",
            "COMMPROC_GATEWAYEMAIL_TLS": "implicit",
            "COMMPROC_GATEWAYEMAIL_USERNAME": "app",
            "COMMPROC_GATEWAYEMAIL_PASSWORD": "canary-password",
            "COMMPROC_GATEWAYSMS_HOST": "smsc.example.com",
            "COMMPROC_GATEWAYSMS_TLS": "implicit",
            "COMMPROC_GATEWAYSMS_SYSTEM_ID": "bank",
            "COMMPROC_GATEWAYSMS_PASSWORD": "canary-bind",
            "COMMPROC_FTOSAPISMS_API_KEY": "canary-token",
        }
        settings = load(None, environ)
        configs = settings.adapter_configs()
        smtp, smpp, http = configs["GatewayEmail"], configs["GatewaySMS"], configs["FTOSApiSMS"]

        assert (smtp.host, smtp.port, smtp.tls, smtp.password) == (  # type: ignore[union-attr]
            "mail.example.com",
            465,
            "implicit",
            "canary-password",
        )
        assert (smpp.host, smpp.system_id, smpp.password) == (  # type: ignore[union-attr]
            "smsc.example.com",
            "bank",
            "canary-bind",
        )
        assert (http.auth, http.token) == ("header", "canary-token")  # type: ignore[union-attr]
        assert "canary" not in repr(settings) + str(settings) + repr(smtp) + repr(smpp) + repr(http)

    async def test_its_adapters_can_be_built(self) -> None:
        for config in load(None, {}).adapter_configs().values():
            if isinstance(config, HttpConfig):
                await HttpAdapter(config, now_ms=lambda: 0).close()
            elif isinstance(config, SmppConfig):
                await SmppAdapter(config).close()
            else:
                await SmtpAdapter(config, now_ms=lambda: 0).close()

    def test_production_names_each_thing_that_is_plain_text_or_without_credentials(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load(None, {"COMMPROC_ENVIRONMENT": "production"})

        places = {problem.where for problem in caught.value.problems}
        assert "kafka.security_protocol" in places
        gateways = ("GatewayEmail", "GatewayEmailOTP", "GatewaySMS", "GatewaySMSOTP")
        assert {f"providers.{name}.password" for name in gateways} < places
        assert {"providers.FTOSApiSMS.token", "providers.FTOSApiSMS.url"} < places
        assert {f"providers.{name}.tls" for name in ("GatewayEmail", "GatewayEmailOTP")} < places
        assert "COMMPROC_FTOSAPISMS_API_KEY" in str(caught.value)


class TestErrors:
    def test_all_are_told_at_once_each_with_its_line_and_what_to_write(self) -> None:
        text = SMALL + (
            "kafka: {sesion_timeout: 30s}\nlanes: {express: 3}\nlogs: {level: loud}\n"
            "metrics:\n  port: many\nlimits:\n  message_bytes_max: 7\n"
        )

        assert wrong(text) == [
            "commproc.yaml:11: kafka.sesion_timeout: is not a known key; write session_timeout",
            (
                "commproc.yaml:17: limits.message_bytes_max: 7 is not a size; "
                "write a number with its unit, such as 1MiB (B, KiB, MiB, GiB)"
            ),
            "commproc.yaml:12: lanes: does not descend; write express above high above normal, such as 9, 6, 3",
            "commproc.yaml:15: metrics.port: is not a whole number; write digits, such as 4",
            "commproc.yaml:13: logs.level: is not one of the known values; write debug, info, warning or error",
        ]

    def test_a_time_without_its_zero_is_told_how_to_write_it(self) -> None:
        text = changed("providers.Gateway", window={"start": "8:00", "end": "20:00"})

        assert [line.partition(": ")[2] for line in wrong(text)] == [
            (
                'providers.Gateway.window.start: "8:00" is not a time of day; '
                'write "08:00" (HH:MM, UTC unless zone says otherwise)'
            )
        ]

    @pytest.mark.parametrize(
        ("section", "values", "expected"),
        [
            (
                "kafka",
                {"acks": "1"},
                "kafka.acks: would lose records that were acknowledged when a broker fails; write acks",
            ),
            (
                "kafka",
                {"session_timeout": 10},
                "kafka.session_timeout: 10 is not a duration; write a number with its unit",
            ),
            ("kafka", {"session_timeout": "1s"}, "kafka.session_timeout: "),
            ("kafka", {"bootstrap": "broker"}, "kafka.bootstrap: is not a list of brokers; write host:port"),
            ("kafka", {"security_protocol": "SASL_SSL"}, "kafka: has a SASL protocol without credentials; write"),
            ("kafka", {"ssl_ca_file": "/nowhere.pem"}, "kafka.ssl_ca_file: names no file; write the path"),
            ("registry", {"url": "http://user:pw@host"}, "registry.url: holds credentials; write the URL without them"),
            ("registry", {"output_framing": "registry"}, "registry: frames for a registry without one; write url"),
            ("topics.partitions", {"inbound": 0}, "topics.partitions.inbound: 0 is too small; write at least 1"),
            (
                "channels.Email",
                {"provider": "Gatway"},
                "channels.Email.provider: names no provider; write one of Gateway",
            ),
            (
                "channels.Email",
                {"lane": "express"},
                "channels.Email: is express and may send twice; write in_doubt: report",
            ),
            (
                "channels.Email",
                {"lane": "express", "in_doubt": "report"},
                "channels.Email: is express and never expires; write validity: 5m",
            ),
            (
                "channels.Email",
                {"bus_provider": "Other"},
                "channels.Email.provider: names a provider of another bus provider",
            ),
            (
                "channels.Email",
                {"bus_channel": "SMS"},
                "channels.Email.provider: names a provider of another bus channel",
            ),
            ("channels", {"a b": {}}, "channels.a?b: is not a name; write letters"),
            (
                "providers.Gateway",
                {"adapter": "pigeon"},
                "providers.Gateway.adapter: is missing or no adapter; write smtp",
            ),
            (
                "providers.Gateway",
                {"express_share": 2},
                "providers.Gateway.express_share: 2 is too large; write at most 1",
            ),
            (
                "providers.Gateway",
                {"express_share": 0},
                "providers.Gateway.express_share: 0 is too small; write",
            ),
            (
                "providers.Gateway",
                {"password": "x"},
                "providers.Gateway.password: is a secret written in the file; write {env",
            ),
            (
                "providers.Gateway",
                {"call_timeout": "10s"},
                "providers.Gateway: has a call_timeout below its phases together",
            ),
            (
                "providers.Gateway",
                {"window": {"start": "08:00", "end": "08:00"}},
                "providers.Gateway.window: starts when it ends; write two different times",
            ),
            (
                "providers.Gateway",
                {"window": {"start": "08:00", "end": "20:00", "zone": "../../etc/passwd"}},
                "providers.Gateway.window.zone: is not a time zone; write an IANA name",
            ),
            ("providers.Gateway", {"reply_to": "a@b\r\nBcc: c@d"}, "providers.Gateway.reply_to: "),
            (
                "providers.Gateway",
                {"from_name": "a\r\nBcc: c@d"},
                "providers.Gateway.from_name: holds a control character",
            ),
            ("", {"channels": {}}, "channels: is missing or empty; write at least one"),
            (
                "providers.Gateway",
                {"from_address": "a@b, c@d"},
                "providers.Gateway.from_address: is not a mail address",
            ),
            (
                "providers.Gateway",
                {"helo_name": "a b"},
                "providers.Gateway.helo_name: is not a domain name; write letters",
            ),
            (
                "providers",
                {"Api": HTTP | {"code": "["}},
                "providers.Api.code: is not a JMESPath expression; write the way",
            ),
            (
                "providers",
                {"Api": HTTP | {"body": {"to": "{{ two }}"}}},
                "providers.Api.body: holds a placeholder that is not known; write one of attachments, attempt, bcc",
            ),
            (
                "providers",
                {"Api": HTTP | {"headers": {"X-To": "{{ two }}"}}},
                "providers.Api.headers: holds a placeholder that is not known; write one of",
            ),
            ("providers", {"Api": HTTP | {"bulk_size": 5}}, "providers.Api: sends several messages in a call without"),
            (
                "providers",
                {"Api": HTTP | {"item": {}}},
                "providers.Api: has one of item and {{ items }} in body; write both",
            ),
            ("providers", {"Api": HTTP | {"auth": "bearer"}}, "providers.Api: has auth bearer without token; write"),
            ("", {"chanels": {}}, "chanels: is not a known key; write channels"),
        ],
    )
    def test_each_says_where_what_and_what_to_write(self, section: str, values: dict[str, Any], expected: str) -> None:
        assert any(line.partition(": ")[2].startswith(expected) for line in wrong(changed(section, **values)))

    def test_a_wrong_section_does_not_hide_what_the_others_disagree_on(self) -> None:
        text = SMALL.replace("provider: Gateway", "provider: Gone") + "logs: {level: loud}\n"

        assert [line.split(": ")[1] for line in wrong(text)] == ["logs.level", "channels.Email.provider"]

    def test_a_channel_is_not_blamed_for_its_providers_error(self) -> None:
        text = changed("providers.Gateway", port="many")

        assert [line.split(": ")[1] for line in wrong(text)] == ["providers.Gateway.port"]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", "channels: is missing or empty; write at least one"),
            ("- a\n- b\n", "(top): is not a mapping"),
            ("kafka: [", "(file): is not YAML"),
            ("kafka: {slot: a}\nkafka: {slot: b}\n", "kafka: stands twice"),
            ("a: &x [1]\nb: *x\n", "(file): is not YAML: an alias (*) is not read here"),
            ("kafka: !!python/object:os.system x\n", "kafka: has a tag (!) that is not read here"),
            ("a: " + "[" * 50 + "]" * 50, "a.0.0: is nested too deep"),
        ],
    )
    def test_what_is_no_configuration_at_all_is_told_too(self, text: str, expected: str) -> None:
        assert any(expected in line for line in wrong(text))

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"gone\.yaml: \(file\): cannot be read \(FileNotFoundError\)"):
            load(tmp_path / "gone.yaml", {})
