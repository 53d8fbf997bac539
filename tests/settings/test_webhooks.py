"""What is said of a webhook is complete and could verify a call, and its page is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from processor.core.vocabulary import STATES
from processor.providers import presets
from processor.settings.load import load_text
from tests.providers.webhook_calls import GENERIC, SECRET, configured
from tests.settings.small import HTTP, SMALL, changed, wrong

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
ENVIRON = {"SECRET": SECRET}


def errors(values: dict[str, Any], environ: dict[str, str] = ENVIRON, *, production: bool = False) -> list[str]:
    text = changed("providers", Other={**HTTP, "webhook": {**GENERIC, **values}})
    return wrong(f"{text}\nenvironment: production\n" if production else text, environ)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"scheme": "none"}, "is not one of the known values"),
        ({"secret": "written"}, "is a secret written in the file"),
        ({"secret": None}, "is a secret written in the file"),
        ({"header": ""}, "has the scheme hmac without header"),
        ({"scheme": "basic"}, "has the scheme basic without username"),
        ({"scheme": "query"}, "has the scheme query without parameter"),
        ({"scheme": "ecdsa"}, "could verify no call; write secret: is no public key of an elliptic curve"),
        ({"signed": "{{ boddy }}"}, "could verify no call; write signed: boddy is not known"),
        ({"timestamp_header": "X-Time"}, "has a timestamp_header whose time is not signed"),
        ({"states": {"done": "deliverd"}}, "is no state of a receipt; write one of accepted, bounced_block"),
        ({"type": "a["}, "is not a JMESPath expression"),
        ({"only": {"a[": ["x"]}}, "is not a JMESPath expression"),
        ({"algorithm": "md5"}, "is not one of the known values"),
        ({"replay_window": "5"}, "is not a duration"),
        ({"typo": 1}, "is not a known key"),
    ],
)
def test_a_webhook_that_could_take_nothing_is_told(values: dict[str, Any], error: str) -> None:
    found = errors(values)

    assert any("providers.Other" in line and error in line for line in found), found
    assert not any(SECRET in line for line in found)


def test_a_webhook_that_nobody_can_call_is_told() -> None:
    found = wrong(changed("providers", Other={**HTTP, "webhook": GENERIC}), ENVIRON)

    assert any("providers.Other.webhook: is heard by nobody: tracking has no base_url" in line for line in found), found


def test_production_needs_a_secret() -> None:
    missing = {"secret": {"env": "NOBODY", "default": ""}}

    assert configured({**GENERIC, **missing}).verification.secrets == ()
    assert any("without a secret" in line or "production" in line for line in errors(missing, production=True))


def test_a_secret_is_not_shown() -> None:
    config = configured(GENERIC)

    assert config.verification.secrets == (SECRET,)
    assert SECRET not in repr(config)


def test_a_preset_takes_nothing_until_its_webhook_is_written() -> None:
    text = changed(
        "providers",
        Other={
            "adapter": "http",
            "preset": "twilio",
            "bus_provider": "Bus",
            "bus_channel": "SMS",
            "username": "AC1",
            "password": {"env": "SECRET"},
            "settings": {"account_sid": "AC1"},
        },
    )

    assert load_text(text, name="commproc.yaml", environ=ENVIRON).webhook_configs() == {}


def test_what_is_written_of_a_webhook_wins_over_the_preset_and_its_states_row_by_row() -> None:
    config = configured(
        {"secret": {"env": "SECRET"}, "states": {"sent": "accepted", "read": "opened"}, "code": "Other"},
        preset="twilio",
        username="AC1",
        password={"env": "SECRET"},
        settings={"account_sid": "AC1"},
    )

    assert (config.reading.states["sent"], config.reading.states["read"]) == ("accepted", "opened")
    assert config.reading.states["delivered"] == "delivered"
    assert (config.reading.code, config.reading.type) == ("Other", "MessageStatus")


def test_the_examples_of_the_page_work_as_they_stand() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJzX7ycCKSnMq1nmCVYYOIM1h6TIudRlEMs09x0oYizYW1sPAdH3ecF37IQ571LqhFw/6Xd4ymzms"
        "E/eanAnlkQ=="
    )
    for example in examples:
        tree = yaml.safe_load(SMALL)
        tree["providers"].update(yaml.safe_load(example)["providers"])
        environ = dict.fromkeys(re.findall(r"env: (\w+)", example), key)
        tree["tracking"] = {"base_url": "https://t.example"}
        assert len(load_text(yaml.safe_dump(tree), name="commproc.yaml", environ=environ).webhook_configs()) == 1
    assert len(examples) == 3


def test_the_page_lists_every_state_and_every_preset() -> None:
    vocabulary = PAGE.split("## The vocabulary", 1)[1].split("\n## ", 1)[0]
    services = PAGE.split("## Services with a preset", 1)[1].split("\n## ", 1)[0]

    assert re.findall(r"^\| `(\w+)` \|", vocabulary, re.MULTILINE) == list(STATES)
    assert set(re.findall(r"^\| `(\w+)` \|", services, re.MULTILINE)) == set(presets.NAMES)
