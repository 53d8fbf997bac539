"""The broker and the registry are real, are found in a fixed order, and never outlive us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from processor.sandbox.broker import DidNotStart, NotAvailable, find_broker, find_registry
from processor.sandbox.child import Child
from processor.sandbox.maven import QUICK, cache_folder, fetched, java
from processor.sandbox.ports import free_port
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from processor.sandbox.broker import Broker, Registry


@pytest.fixture
def topic(kafka: Broker) -> str:
    name = f"broker-{uuid.uuid4().hex[:8]}"
    with AdminClient({"bootstrap.servers": kafka.bootstrap}) as admin:
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    return name


def put(broker: Broker, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 0, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.commit_transaction(30)


def values(broker: Broker, topic: str, count: int) -> list[bytes | None]:
    settings = {"bootstrap.servers": broker.bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    found = consumer.consume(count, timeout=30)
    consumer.close()
    return [message.value() for message in found]


def test_the_broker_performs_transactions(kafka: Broker, topic: str) -> None:
    put(kafka, topic, b"one")

    assert values(kafka, topic, 1) == [b"one"]


def test_a_killed_broker_comes_back_with_its_address_and_data(kafka: Broker, topic: str) -> None:
    if not kafka.can_restart:
        pytest.skip("this broker is not ours")
    put(kafka, topic, b"before")
    address = kafka.bootstrap

    kafka.kill()
    kafka.restart()
    put(kafka, topic, b"after")

    assert kafka.bootstrap == address
    assert values(kafka, topic, 2) == [b"before", b"after"]


def test_a_topic_is_never_created_by_a_misspelt_name(kafka: Broker) -> None:
    with AdminClient({"bootstrap.servers": kafka.bootstrap}) as admin:
        admin.list_topics("misspelt", timeout=10)

        assert "misspelt" not in admin.list_topics(timeout=10).topics


def test_the_registry_keeps_a_schema(registry: Registry) -> None:
    body = json.dumps({"schema": json.dumps({"type": "string"})}).encode()
    kind = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    request = urllib.request.Request(f"{registry.url}/subjects/x-value/versions", body, kind, method="POST")

    with urllib.request.urlopen(request, timeout=10) as response:
        number = json.load(response)["id"]
    with urllib.request.urlopen(f"{registry.url}/schemas/ids/{number}", timeout=10) as response:
        kept = json.loads(json.load(response)["schema"])

    assert kept in ("string", {"type": "string"})


def test_the_broker_that_the_environment_names_is_taken_and_left_alone(kafka: Broker) -> None:
    with find_broker({"KAFKA_BOOTSTRAP": kafka.bootstrap}) as named:
        assert named.bootstrap == kafka.bootstrap
        assert not named.can_restart
        with pytest.raises(NotAvailable, match="not ours"):
            named.kill()

    with AdminClient({"bootstrap.servers": kafka.bootstrap}) as admin:
        assert admin.list_topics(timeout=10).brokers


def test_a_named_broker_that_does_not_answer_is_not_replaced_by_another() -> None:
    with pytest.raises(NotAvailable, match="KAFKA_BOOTSTRAP names does not answer"):
        find_broker({**os.environ, "KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}"})


def test_a_named_registry_that_does_not_answer_is_not_replaced_by_another() -> None:
    with pytest.raises(NotAvailable, match="SCHEMA_REGISTRY_URL names does not answer"):
        find_registry({**os.environ, "SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{free_port()}"})


def test_the_order_is_environment_then_docker_then_java(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/absent.sock"}

    with pytest.raises(NotAvailable) as refusal:
        find_broker(nothing)

    reasons = "KAFKA_BOOTSTRAP is not set; no Docker engine answers; there is no Java"
    assert reasons in str(refusal.value)


def test_what_is_missing_is_told_with_what_to_install(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/absent.sock"}

    with pytest.raises(NotAvailable, match="install Java 17 or later and Maven"):
        find_registry(nothing)


def test_an_old_java_is_named(tmp_path: Path) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_401\"' >&2\n")
    old.chmod(0o755)

    with pytest.raises(NotAvailable, match="java is version 8"):
        java({"PATH": str(tmp_path)})


def test_a_java_is_told_to_be_up_soon_unless_its_options_are_given(tmp_path: Path) -> None:
    new = tmp_path / "java"
    new.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    new.chmod(0o755)
    given = {"PATH": str(tmp_path), "KAFKA_JVM_PERFORMANCE_OPTS": "-server -XX:+UseG1GC"}

    assert java({"PATH": str(tmp_path)}) == (str(new), *QUICK)
    assert java(given) == (str(new), "-server", "-XX:+UseG1GC")


def test_java_is_not_enough_without_maven_and_an_empty_cache(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="there is no Maven"):
        fetched("anything", lambda _: (), {"PATH": str(tmp_path), "COMMPROC_CACHE": str(tmp_path)})


def test_a_download_that_breaks_leaves_nothing_that_passes_for_a_whole_one(tmp_path: Path) -> None:
    maven = tmp_path / "mvn"
    maven.write_text('#!/bin/sh\nmkdir "$3"; echo half > "$3/part.jar"; echo "no route"; exit 1\n')
    maven.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "COMMPROC_CACHE": str(tmp_path / "cache")}

    with pytest.raises(NotAvailable, match="Maven failed: no route"):
        fetched("kafka", lambda target: [str(target)], environ)

    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["kafka.lock"]


def test_several_that_start_at_once_download_once(tmp_path: Path) -> None:
    maven = tmp_path / "mvn"
    maven.write_text(f'#!/bin/sh\necho run >> "{tmp_path}/runs"; mkdir "$3"; touch "$3/whole.jar"\n')
    maven.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "COMMPROC_CACHE": str(tmp_path / "cache")}

    with ThreadPoolExecutor() as pool:
        folders = list(pool.map(lambda _: fetched("kafka", lambda target: [str(target)], environ), range(4)))

    assert {path.name for folder in folders for path in folder.iterdir()} == {"whole.jar"}
    assert (tmp_path / "runs").read_text() == "run\n"


def test_the_cache_folder_is_a_setting(tmp_path: Path) -> None:
    assert cache_folder({"COMMPROC_CACHE": str(tmp_path)}) == tmp_path


def test_a_broker_does_not_outlive_a_killed_owner(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert owner.stdin is not None
    assert owner.stdout is not None
    with owner.stdin, owner.stdout:
        child = int(owner.stdout.readline())
        assert alive(child)

        owner.send_signal(signal.SIGKILL)
        owner.wait(10)

        eventually(lambda: not alive(child), within_s=10, what="the orphan is gone")
        eventually(lambda: not (tmp_path / "data").exists(), within_s=10, what="its folder is gone")


OWNER = """
import sys
from pathlib import Path
from processor.sandbox.child import Child
folder = Path("data").absolute()
folder.mkdir()
print(Child(["sleep", "600"], folder=folder).pid, flush=True)
sys.stdin.read()
"""


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_that_ends_early_shows_its_last_words(tmp_path: Path) -> None:
    child = Child(["/bin/sh", "-c", "echo the port is taken; exit 3"], folder=tmp_path)

    with pytest.raises(DidNotStart, match=r"(?s)exit code 3.*the port is taken"):
        child.wait_until(lambda: False, within_s=10, what="the server")


def test_a_server_that_stays_mute_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    child = Child(["/bin/sh", "-c", "echo thinking; exec sleep 600"], folder=tmp_path)
    try:
        with pytest.raises(DidNotStart, match=r"did not answer within 0\.2 s"):
            child.wait_until(lambda: False, within_s=0.2, what="the server")
    finally:
        child.kill()


def test_a_server_is_not_told_our_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PASSWORD", "canary-5317")
    child = Child(["/usr/bin/env"], folder=tmp_path)

    assert child.ended(within_s=10)
    assert "canary-5317" not in child.log.read_text()
