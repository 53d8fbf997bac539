"""What is handed to others fits together: compose file, container image, pins, hooks. No Docker engine is needed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from processor.sandbox import local_kafka, local_registry
from processor.settings import load

REPOSITORY = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service.get("image") == "commproc:local"]


def test_every_service_that_another_waits_for_exists_and_can_tell_its_state() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed], f"{name} waits for the health of {needed}"


def test_every_server_tells_its_health() -> None:
    assert [name for name, service in SERVICES.items() if "healthcheck" not in service] == ["topics"]


def test_every_mounted_path_exists() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (REPOSITORY / source).is_dir() if source.startswith(".") else source in COMPOSE["volumes"]


def test_every_port_opens_on_the_loopback_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_image_has_its_version_and_the_servers_are_the_ones_that_tests_use() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}

    assert all(re.search(r":(v?\d+\.\d+|local$)", image) for image in images.values())
    assert images["kafka"].endswith(f":{local_kafka.VERSION}")
    assert images["registry"].endswith(f":{local_registry.VERSION}")


@pytest.mark.parametrize("name", OURS)
def test_the_configuration_of_each_service_is_valid(name: str) -> None:
    environ = {key: str(value) for key, value in SERVICES[name]["environment"].items()}

    settings = load(None, environ)

    assert settings.kafka.bootstrap == "kafka:19092"
    assert settings.metrics.host == "0.0.0.0"
    assert "127.0.0.1" not in str(settings.providers), "a container reaches no other at its own loopback"


@pytest.mark.parametrize("name", OURS)
def test_the_command_of_each_service_is_one_that_commproc_takes(name: str) -> None:
    command = [sys.executable, "-m", "processor.cli", *SERVICES[name]["command"], "--help"]

    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 0, done.stderr


def test_prometheus_asks_every_stage() -> None:
    config = yaml.safe_load((REPOSITORY / "deploy/prometheus/prometheus.yml").read_text())
    targets = {target for job in config["scrape_configs"] for one in job["static_configs"] for target in one["targets"]}
    stages = {name for name in OURS if "run" in SERVICES[name]["command"]}

    assert stages
    assert stages == {target.partition(":")[0] for target in targets}


def test_grafana_finds_its_dashboards_and_prometheus() -> None:
    provisioning = REPOSITORY / "deploy/grafana/provisioning"
    mounts = [mount.split(":") for mount in SERVICES["grafana"]["volumes"]]
    dashboards = yaml.safe_load((provisioning / "dashboards/commproc.yaml").read_text())
    source = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())

    path = dashboards["providers"][0]["options"]["path"]
    assert [outside for outside, inside, _ in mounts if inside == path] == ["./deploy/grafana/dashboards"]
    assert list((REPOSITORY / "deploy/grafana/dashboards").glob("*.json"))
    assert source["datasources"][0]["url"].startswith("http://prometheus:")


def test_the_image_copies_only_what_exists_and_is_let_in() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    let_in = set(re.findall(r"^!(\S+)$", (REPOSITORY / ".dockerignore").read_text(), re.MULTILINE))

    sources = {source for line in copied for source in line.split()}
    assert sources == let_in
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []


def test_every_dependency_is_pinned_by_name_and_version_alone() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["dev"]]

    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    pinned = {plain(line.partition("==")[0]) for line in lines}
    assert {plain(re.split(r"[\[=<>~!;]", name)[0]) for name in named} - pinned == set()


def plain(name: str) -> str:
    """Return the form in which package names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_hooks_run_the_pinned_tools_and_fetch_none() -> None:
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())

    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
    assert all(hook["entry"].startswith(".venv/bin/") for repo in hooks["repos"] for hook in repo["hooks"])
