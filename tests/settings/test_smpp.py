"""Short message centres in the configuration: what is read, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from processor.providers.smpp.config import SmppConfig
from processor.settings.load import load_text
from tests.settings.small import wrong

PAGE = Path(__file__).parents[2] / "docs" / "providers" / "smpp.md"
CANARY = "hunter2-canary"


def text(**centre: Any) -> str:
    """A configuration with one short message centre."""
    provider = {
        "adapter": "smpp",
        "bus_provider": "Bus",
        "bus_channel": "SMS",
        "host": "smsc.example.com",
        "system_id": "bank",
        "password": {"env": "PASSWORD"},
    }
    channel = {"action": "SMS", "bus_channel": "SMS", "bus_provider": "Bus", "provider": "Centre"}
    return yaml.safe_dump({"channels": {"SMS": channel}, "providers": {"Centre": provider | centre}})


def config(environ: dict[str, str] | None = None, **centre: Any) -> SmppConfig:
    settings = load_text(text(**centre), name="c.yaml", environ=environ or {"PASSWORD": CANARY})
    found = settings.adapter_configs()["Centre"]
    assert isinstance(found, SmppConfig)
    return found


def test_what_is_left_out_is_safe() -> None:
    made = config()

    assert (made.tls, made.bind, made.window_size, made.payload, made.reference_tlv) == (
        "implicit",
        "transceiver",
        10,
        "udh",
        None,
    )
    assert made.password == CANARY
    assert CANARY not in repr(made)


def test_codes_and_tags_are_written_in_hexadecimal_or_in_decimal() -> None:
    codes = {"0x00000401": "throttled", "1026": "rejected", 1027: "unavailable"}

    made = config(codes=codes, reference_tlv="0x1401", countries=[40, 44])

    assert made.codes == {0x401: "throttled", 0x402: "rejected", 0x403: "unavailable"}
    assert (made.reference_tlv, made.countries) == (0x1401, (40, 44))


@pytest.mark.parametrize(
    ("centre", "key"),
    [
        ({"codes": {"0x58": "explode"}}, "codes"),
        ({"codes": {"soon": "deferred"}}, "codes"),
        ({"codes": {"0x100000000": "deferred"}}, "codes"),
        ({"reference_tlv": "0x0424"}, "reference_tlv"),
        ({"source_addr": "Bänk"}, "source_addr"),
        ({"source_addr": "a" * 21}, "source_addr"),
        ({"system_id": "a" * 16}, "system_id"),
        ({"window_size": 0}, "window_size"),
        ({"countries": [0]}, "countries"),
        ({"bind": "receiver"}, "bind"),
        ({"payload": "sar"}, "payload"),
        ({"tls": "starttls"}, "tls"),
        ({"password": CANARY}, "password"),
    ],
)
def test_what_cannot_work_is_refused_where_it_stands(centre: dict[str, Any], key: str) -> None:
    lines = wrong(text(**centre), {"PASSWORD": CANARY})

    assert any(f"providers.Centre.{key}" in line for line in lines), lines
    assert CANARY not in "\n".join(lines)


def test_a_password_that_smpp_cannot_carry_is_refused_unshown() -> None:
    (line,) = wrong(text(), {"PASSWORD": f"{CANARY}-ș"})

    assert "has a password that SMPP cannot carry; write at most 64 ASCII characters" in line
    assert CANARY not in line


def test_a_password_goes_out_in_plain_text_to_this_machine_alone() -> None:
    assert config(host="127.0.0.1", tls="off").tls == "off"
    (line,) = wrong(text(tls="off"), {"PASSWORD": CANARY})
    assert "would send its password in plain text; write tls: implicit" in line


def test_production_refuses_plain_text_but_to_a_tunnel_on_this_machine() -> None:
    environ = {"PASSWORD": CANARY, "COMMPROC_ENVIRONMENT": "production"}
    here = wrong(text(tls="off", host="127.0.0.1"), environ)
    there = wrong(text(tls="off"), environ)

    assert not any("providers.Centre" in line for line in here)
    assert any("providers.Centre.tls: " in line for line in there)


def test_the_example_of_the_documentation_is_taken() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    tree = yaml.safe_load(text()) | yaml.safe_load(example)
    tree["channels"]["SMS"] |= {"bus_provider": "FTOSSmsProvider", "provider": "OperatorSMS"}
    environ = {"COMMPROC_OPERATORSMS_SYSTEM_ID": "bank", "COMMPROC_OPERATORSMS_PASSWORD": CANARY}

    made = load_text(yaml.safe_dump(tree), name="c.yaml", environ=environ).adapter_configs()["OperatorSMS"]

    assert isinstance(made, SmppConfig)
    assert (made.port, made.tls, made.source_addr) == (3550, "implicit", "MyBank")
