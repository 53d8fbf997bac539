"""What is read is what was meant, and a secret is shown nowhere."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from processor.core.plan import DailyInterval
from processor.providers.smtp.config import SmtpConfig
from processor.settings import DEFAULT, load
from processor.settings.load import load_text
from tests.settings.small import SMALL, changed, wrong

if TYPE_CHECKING:
    from pathlib import Path


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

        assert [line.partition(": ")[2] for line in lines] == ["metrics.port: is too large; write at most 65535"]

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

    @pytest.mark.parametrize("login", ["", "    username: bank\n    password: {env: SECRET}\n"])
    def test_a_mail_is_agreed_to_while_a_call_has_time_for_content_and_answer(self, login: str) -> None:
        settings = load_text(SMALL + login, name="c.yaml", environ={"SECRET": "s3cret"})
        config = settings.providers["Gateway"].config()

        assert isinstance(config, SmtpConfig)
        phases_ms = config.agreed_within_ms + config.data_timeout_ms + config.answer_timeout_ms
        assert phases_ms + 5_000 == settings.plan().providers["Gateway"].call_timeout_ms
