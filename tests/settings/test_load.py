"""The configuration is read once, and everything that is wrong with it is told at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from processor.core.plan import DailyInterval
from processor.core.words import InDoubt, Lane
from processor.settings import DEFAULT, ConfigurationError, load
from processor.settings.load import load_text

if TYPE_CHECKING:
    from pathlib import Path

SMALL = """
channels:
  Email: {action: EMAIL, bus_channel: EMAIL, bus_provider: Bus, provider: Gateway}
providers:
  Gateway:
    adapter: smtp
    bus_provider: Bus
    bus_channel: EMAIL
    host: mail.example.com
    from_address: noreply@example.com
"""
HTTP = {"adapter": "http", "bus_provider": "B", "bus_channel": "SMS", "url": "https://x/", "body": {}}


def wrong(text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Return the lines of the errors in *text*."""
    with pytest.raises(ConfigurationError) as caught:
        load_text(text, name="commproc.yaml", environ=environ or {})
    assert len(caught.value.problems) == len(str(caught.value).splitlines())
    return str(caught.value).splitlines()


def changed(section: str, **values: Any) -> str:
    """Return the small configuration with *values* in the section at the dotted path."""
    tree = yaml.safe_load(SMALL)
    node = tree
    for key in section.split(".") if section else ():
        node = node.setdefault(key, {})
    node.update(values)
    return yaml.safe_dump(tree)


class TestTheDefaultConfiguration:
    def test_it_has_the_six_providers_and_four_channels_that_users_know(self) -> None:
        plan = load(None, {}).plan()

        assert set(plan.channels) == {"Email", "EmailOTP", "SMS", "SMSOTP"}
        assert {name: provider.adapter for name, provider in plan.providers.items()} == {
            "FTOSEmailGateway": "http",
            "GatewayEmail": "smtp",
            "GatewayEmailOTP": "smtp",
            "GatewaySMS": "http",
            "GatewaySMSOTP": "http",
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
        assert configs["GatewaySMS"].auth == "none"  # type: ignore[union-attr]

    def test_its_places_and_credentials_come_from_the_environment(self) -> None:
        environ = {
            "COMMPROC_GATEWAYEMAIL_HOST": "mail.example.com",
            "COMMPROC_GATEWAYEMAIL_PORT": "465",
            "COMMPROC_GATEWAYEMAIL_TLS": "implicit",
            "COMMPROC_GATEWAYEMAIL_USERNAME": "app",
            "COMMPROC_GATEWAYEMAIL_PASSWORD": "canary-password",
            "COMMPROC_GATEWAYSMS_TOKEN": "canary-token",
        }
        settings = load(None, environ)
        smtp, http = settings.adapter_configs()["GatewayEmail"], settings.adapter_configs()["GatewaySMS"]

        assert (smtp.host, smtp.port, smtp.tls, smtp.password) == (  # type: ignore[union-attr]
            "mail.example.com",
            465,
            "implicit",
            "canary-password",
        )
        assert (http.auth, http.token) == ("bearer", "canary-token")  # type: ignore[union-attr]
        assert "canary" not in repr(settings) + str(settings) + repr(smtp) + repr(http)

    def test_production_names_each_thing_that_is_plain_text_or_without_credentials(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load(None, {"COMMPROC_ENVIRONMENT": "production"})

        places = {problem.where for problem in caught.value.problems}
        assert "kafka.security_protocol" in places
        assert {f"providers.{name}.password" for name in ("GatewayEmail", "GatewayEmailOTP")} < places
        assert {f"providers.{name}.token" for name in ("GatewaySMS", "GatewaySMSOTP", "FTOSApiSMS")} < places
        assert {"providers.GatewayEmail.tls", "providers.GatewayEmailOTP.tls", "providers.GatewaySMS.url"} < places
        assert "COMMPROC_GATEWAYSMS_TOKEN" in str(caught.value)


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


class TestSecrets:
    CANARY = "hunter2-canary"

    @pytest.mark.parametrize(
        "text",
        [
            changed("providers.Gateway", password=CANARY),
            changed("providers.Gateway", passwrod=CANARY),
            changed("providers.Gateway", port=CANARY),
            changed("providers.Gateway", tls=CANARY),
            changed("providers.Gateway", window={"start": CANARY, "end": CANARY, "zone": CANARY}),
            changed("kafka", bootstrap=CANARY, slot=f"{CANARY} ", sasl_password=[CANARY], session_timeout=CANARY),
            changed("registry", url=f"http://u:{CANARY}@host/", output_framing=CANARY),
            changed("", environment=CANARY, logs=CANARY, lanes={"express": CANARY}),
            changed("limits", message_bytes_max=CANARY),
            changed("channels.Email", lane=CANARY, in_doubt=CANARY, action=CANARY, retry={"kind": CANARY}),
            changed("providers.Gateway", adapter=CANARY),
            f"kafka: {{sasl_password: '{CANARY}\n",
            f"kafka: *{CANARY}",
            f"kafka: !{CANARY} x",
            f"kafka: {{sasl_password: {{env: NAME, default: {CANARY}}}}}" + SMALL,
        ],
    )
    def test_no_error_shows_one_wherever_it_was_written(self, text: str) -> None:
        assert self.CANARY not in "\n".join(wrong(text))

    def test_a_value_from_the_environment_is_never_shown(self) -> None:
        lines = wrong(changed("metrics", port={"env": "PORT"}), {"PORT": "99999999"})

        assert (
            lines == ["commproc.yaml:12: metrics.port: is too large; write at most 65535"] or "99999999" not in lines[0]
        )

    def test_one_is_read_from_a_file_without_its_line_break(self, tmp_path: Path) -> None:
        secret = tmp_path / "password"
        secret.write_text("s3cret\n")
        text = changed("providers.Gateway", username="app", password={"file": str(secret)})

        config = load_text(text, name="c.yaml", environ={}).adapter_configs()["Gateway"]

        assert config.password == "s3cret"

    def test_a_missing_variable_or_file_is_named(self) -> None:
        text = changed("providers.Gateway", username={"env": "GATEWAY_USER"}, password={"file": "/run/secrets/gone"})

        assert [line.partition(": ")[2] for line in wrong(text)] == [
            (
                "providers.Gateway.password: the file /run/secrets/gone cannot be read (FileNotFoundError); "
                "write the path of a readable file that holds nothing but the value"
            ),
            (
                "providers.Gateway.username: the environment variable GATEWAY_USER is not set or empty; "
                "write a value into GATEWAY_USER"
            ),
        ]

    def test_a_header_cannot_carry_one(self) -> None:
        http = {"adapter": "http", "bus_provider": "B", "bus_channel": "SMS", "url": "https://x/", "body": {}}
        text = changed("providers.Api", **http, headers={"Authorization": "Bearer x"})

        assert any("providers.Api.headers: hold a credential; write auth" in line for line in wrong(text))


class TestValues:
    def test_the_environment_wins_over_the_file_and_is_named_in_errors(self) -> None:
        settings = load_text(SMALL, name="c.yaml", environ={"COMMPROC_SLOT": "7", "COMMPROC_METRICS_PORT": "0"})
        assert (settings.kafka.slot, settings.metrics.port) == ("7", 0)

        assert wrong(SMALL, {"COMMPROC_SLOT": "a b"}) == [
            "environment variable COMMPROC_SLOT: kafka.slot: is not a name; write letters, digits, _ and -, at most 64"
        ]

    def test_the_file_named_in_the_environment_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "c.yaml"
        path.write_text(SMALL)

        assert set(load(None, {"COMMPROC_CONFIG": str(path)}).channels) == {"Email"}
        assert set(load(DEFAULT, {"COMMPROC_CONFIG": str(path)}).channels) > {"Email"}

    def test_a_window_is_in_wall_clock_time_of_its_zone(self) -> None:
        text = changed("providers.Gateway", window={"start": "22:30", "end": "06:00", "zone": "Europe/Bucharest"})

        interval = load_text(text, name="c.yaml", environ={}).plan().providers["Gateway"].interval

        assert isinstance(interval, DailyInterval)
        assert (interval.start_ms, interval.end_ms) == (22.5 * 3_600_000, 6 * 3_600_000)
        assert interval.zone.utcoffset(None) is None
        assert str(interval.zone) == "Europe/Bucharest"

    def test_words_that_older_yaml_takes_for_booleans_and_times_for_numbers_stay_what_they_are(self) -> None:
        text = SMALL + "    tls: off\n    window: {start: 08:00, end: 20:00}\n"

        settings = load_text(text, name="c.yaml", environ={})

        assert settings.adapter_configs()["Gateway"].tls == "off"  # type: ignore[union-attr]
        interval = settings.plan().providers["Gateway"].interval
        assert interval is not None
        assert interval.end_ms == timedelta(hours=20).total_seconds() * 1_000

    def test_a_request_may_have_fields_named_env_and_file(self) -> None:
        http = {"adapter": "http", "bus_provider": "B", "bus_channel": "SMS", "url": "https://x/"}
        text = changed("providers.Api", **http, body={"attachment": {"file": "a.pdf"}, "env": {"env": "x"}})

        config = load_text(text, name="c.yaml", environ={}).adapter_configs()["Api"]

        assert config.body == {"attachment": {"file": "a.pdf"}, "env": {"env": "x"}}  # type: ignore[union-attr]

    def test_kafka_clients_get_the_credentials_and_nothing_prints_them(self) -> None:
        text = changed(
            "kafka", security_protocol="SASL_SSL", sasl_username="commproc", sasl_password={"env": "KAFKA_PASSWORD"}
        )

        settings = load_text(text, name="c.yaml", environ={"KAFKA_PASSWORD": "canary-password"})
        connection = settings.kafka.connection()

        assert connection.security == {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "commproc",
            "sasl.password": "canary-password",
        }
        assert "canary" not in repr(settings) + repr(connection) + settings.model_dump_json()

    def test_a_configuration_cannot_be_changed(self) -> None:
        settings = load(None, {})

        with pytest.raises(ValueError, match="frozen"):
            settings.kafka.slot = "9"  # type: ignore[misc]

    def test_a_call_may_take_as_long_as_its_phases(self) -> None:
        provider = load_text(SMALL, name="c.yaml", environ={}).plan().providers["Gateway"]

        assert provider.call_timeout_ms == 10_000 + 4 * 30_000 + 3 * 30_000 + 60_000 + 120_000 + 5_000
