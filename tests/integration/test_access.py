"""Kafka's access rules: what docs/runbook.md lists is enough, and a process that is not let in says so."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from processor.sandbox.local_kafka import LocalBroker, kafka_jars
from processor.sandbox.maven import java
from tests.cli.command import commproc
from tests.support.cluster import TIMEOUT_S
from tests.support.eventually import eventually
from tests.support.plant import STAGES, Plant, message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from processor.sandbox.broker import Broker

pytestmark = [pytest.mark.slow]

OURS, STRANGER = "commproc", "stranger"
PASSWORDS = {OURS: "canary-password-77", STRANGER: "canary-password-78"}
RIGHTS = {
    ResourceType.TOPIC: [AclOperation.READ, AclOperation.WRITE, AclOperation.DELETE, AclOperation.DESCRIBE_CONFIGS],
    ResourceType.GROUP: [AclOperation.READ],
    ResourceType.TRANSACTIONAL_ID: [AclOperation.WRITE],
}
"""What docs/runbook.md lists."""


@pytest.fixture(scope="module")
def guarded(kafka: Broker) -> Iterator[LocalBroker]:
    """A broker with access rules."""
    if not isinstance(kafka, LocalBroker):
        pytest.skip("a broker with access rules is started on this machine's Java alone")
    with LocalBroker(java_command=java(os.environ), jars=kafka_jars(os.environ), accounts=PASSWORDS) as own:
        yield own


@pytest.fixture
def works(guarded: LocalBroker, tmp_path: Path) -> Iterator[Plant]:
    with plant(guarded.bootstrap, tmp_path, running=()) as made:
        yield made


def known_as(works: Plant, guarded: LocalBroker, name: str) -> Path:
    """Return a configuration like that of *works*, of a processor that says to be *name*."""
    tree = json.loads(works.config.read_text())
    tree["kafka"] |= {
        "bootstrap": guarded.guarded,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": name,
        "sasl_password": {"env": "KAFKA_PASSWORD"},
    }
    path = works.folder / f"{name}.yaml"
    path.write_text(json.dumps(tree))
    return path


def allow(works: Plant) -> None:
    rules = [
        AclBinding(
            kind,
            works.names.prefix,
            ResourcePatternType.PREFIXED,
            f"User:{OURS}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for kind, operations in RIGHTS.items()
        for operation in operations
    ]
    for made in works.cluster.admin.create_acls(rules).values():
        made.result(TIMEOUT_S)


@pytest.mark.timeout(300)
def test_the_rights_that_the_runbook_lists_are_enough(works: Plant, guarded: LocalBroker) -> None:
    allow(works)
    config = known_as(works, guarded, OURS)
    environ = {"KAFKA_PASSWORD": PASSWORDS[OURS]}
    works.start(*STAGES, "tracking", config=config, environ=environ)

    works.ask([message("an-sms", "SMS"), message("a-mail"), message("again", to="defer-451-1x@example.com")])
    works.drained(within_s=30)
    works.check()

    works.start("dispatch", slot="1", config=config, environ=environ)
    eventually(lambda: works.metric("dispatch", "comm_partitions_assigned", "1", loop="dispatch"), within_s=20)
    assert works.terminate("dispatch", "1") == 0
    assert "group.stayed" not in works.output()  # it may leave its groups, too


def test_an_account_without_rights_ends_and_says_that_topics_may_be_hidden(works: Plant, guarded: LocalBroker) -> None:
    config = known_as(works, guarded, STRANGER)
    environ = {**works.environ, "KAFKA_PASSWORD": PASSWORDS[STRANGER]}

    ran = commproc("run", "--stage", "intake", config=config, environ=environ)

    assert ran.code == 2
    assert f"{works.names.outbound}: is missing" in ran.err
    assert "access rules hide them from this account" in ran.err
    assert PASSWORDS[STRANGER] not in ran.out + ran.err


def test_a_password_that_is_wrong_is_told_and_tried_again_calmly(works: Plant, guarded: LocalBroker) -> None:
    config, wrong = known_as(works, guarded, OURS), "canary-password-79"
    works.start("intake", config=config, ready=False, environ={"KAFKA_PASSWORD": wrong})

    def told() -> list[str]:
        return [str(line.get("kafka_code")) for line in works.lines("intake") if line["event"] == "kafka.away"]

    eventually(told, within_s=20, what=works.output)
    assert not works.is_ready("intake")
    assert works.terminate("intake") == 0
    assert told() == ["_AUTHENTICATION"]
    ran = commproc("topics", "check", config=config, environ={**works.environ, "KAFKA_PASSWORD": wrong})
    assert ran.code == 1
    assert "refuses our credentials (_AUTHENTICATION)" in ran.err
    assert wrong not in works.output() + ran.out + ran.err
