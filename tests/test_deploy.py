"""Alerts, dashboard and runbook ask for what the processor really tells, in words that Prometheus understands."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from processor.core.words import Purpose
from tests.support.eventually import eventually
from tests.support.ledgers import Asked
from tests.support.plant import Plant, message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker

ROOT: Final = Path(__file__).parents[1]
PROMETHEUS: Final = ROOT / "deploy" / "prometheus"
DASHBOARD: Final = json.loads((ROOT / "deploy/grafana/dashboards/overview.json").read_text(encoding="utf-8"))
RULES: Final = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS: Final = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
VARIABLES: Final = {"$provider": ".*", "$__rate_interval": "5s", "$__range": "1m"}


def tool(name: str) -> str:
    """Return the path of one of Prometheus's programs; without it skip, but fail in CI, where nobody sees a skip."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed (Debian package: prometheus)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def target(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return host:port of a real processor that is kept busy: what is sent, deferred, refused, late and unreadable."""
    with plant(kafka.bootstrap, tmp_path_factory.mktemp("watched"), running=["all"]) as works:
        busy = threading.Event()
        feeding = threading.Thread(target=keep_busy, args=(works, busy))
        feeding.start()
        yield works.address("all")
        busy.set()
        feeding.join()


def keep_busy(works: Plant, done: threading.Event) -> None:
    """Ask for some of everything, ten times a second."""
    for number in count():
        if done.wait(0.1):
            return
        soon_ms = time.time_ns() // 1_000_000 + 500
        works.ask(
            [
                message(f"watched-{number}"),
                message(f"watched-{number}-otp", "SMSOTP", purpose=Purpose.OTP),
                message(f"watched-{number}-later", start_at_ms=soon_ms),
                message(f"watched-{number}-deferred", to="defer-451-1x@example.com"),
                message(f"watched-{number}-lost", "Nowhere"),
            ]
        )
        works.put(b"not a record", Asked(None), works.names.outbound)


@pytest.fixture(scope="module")
def prometheus(target: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a real Prometheus that scrapes the processor and has our alert rules."""
    program, folder, port = tool("prometheus"), tmp_path_factory.mktemp("prometheus"), free_port()
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    configuration["global"] = {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "500ms"}
    configuration["rule_files"] = [str(PROMETHEUS / "alerts.yml")]
    configuration["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        address = f"http://127.0.0.1:{port}"
        eventually(lambda: has_scraped(address), within_s=20, what=(folder / "log").read_text)
        yield address
        process.terminate()


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def query(address: str, expression: str) -> Any:
    """Return what Prometheus answers to *expression*."""
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def has_scraped(address: str) -> bool:
    """Return whether there are enough samples for a rate."""
    try:
        return bool(query(address, 'rate(comm_tick_seconds_count{loop="dispatch"}[5s]) > 0')["data"]["result"])
    except OSError:
        return False


def filled(expression: str) -> str:
    """Return *expression* with Grafana's variables filled in."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


class TestAlerts:
    def test_each_fires_on_what_it_is_for_and_not_on_an_ordinary_day(self) -> None:
        tested = subprocess.run(
            [tool("promtool"), "test", "rules", "alerts_test.yml"],
            cwd=PROMETHEUS,
            capture_output=True,
            check=False,
            text=True,
        )
        assert tested.returncode == 0, tested.stdout + tested.stderr

        cases = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
        names = {case["name"] for case in cases}
        assert names == {f"{rule['alert']} {what}" for rule in RULES for what in ("fires", "stays quiet")}

    def test_the_configuration_is_one_that_prometheus_takes(self) -> None:
        command = [tool("promtool"), "check", "config", "prometheus.yml"]
        checked = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, check=False, text=True)

        assert checked.returncode == 0, checked.stdout + checked.stderr

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
    def test_each_says_how_urgent_it_is_and_where_the_runbook_tells_more(self, rule: dict[str, Any]) -> None:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)

        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert anchor in [heading.lower() for heading in headings]
        assert rule["annotations"]["summary"]

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
    def test_a_real_prometheus_understands_each(self, prometheus: str, rule: dict[str, Any]) -> None:
        assert query(prometheus, rule["expr"])["status"] == "success"


class TestDashboard:
    @pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
    def test_each_panel_shows_something_of_a_busy_processor(self, prometheus: str, title: str, expression: str) -> None:
        asked = filled(expression)
        assert query(prometheus, asked)["status"] == "success"

        # What happens once a second may be missing from the five seconds that a rate looks at, on a busy machine.
        eventually(lambda: query(prometheus, asked)["data"]["result"], within_s=15, what=title)

    def test_no_two_panels_share_an_id_or_a_place(self) -> None:
        panels = DASHBOARD["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        taken: dict[tuple[int, int], str] = {}
        for panel in panels:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    assert taken.setdefault((x, y), panel["title"]) == panel["title"]

    def test_each_panel_asks_the_data_source_that_the_viewer_chose_and_says_what_it_shows(self) -> None:
        assert [v["type"] for v in DASHBOARD["templating"]["list"] if v["name"] == "datasource"] == ["datasource"]
        for panel in PANELS:
            assert panel["description"]
            assert {ask["datasource"]["uid"] for ask in [panel, *panel["targets"]]} == {"${datasource}"}

    def test_grafana_finds_it_and_its_data_source(self) -> None:
        provisioning = ROOT / "deploy" / "grafana" / "provisioning"
        (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
        (folder,) = yaml.safe_load((provisioning / "dashboards/commproc.yaml").read_text())["providers"]

        compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
        assert source["type"] == "prometheus"
        assert f"./deploy/grafana/dashboards:{folder['options']['path']}" in compose


class TestNames:
    def test_every_metric_that_is_asked_for_exists(self, target: str) -> None:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=5) as answer:
            served = set(re.findall(r"^(\w+)(?:{| )", answer.read().decode(), re.MULTILINE))
        asked = {expression for _, expression in EXPRESSIONS} | {rule["expr"] for rule in RULES}

        assert {name for one in asked for name in re.findall(r"\bcomm_\w+", one)} <= served

    def test_every_alert_has_a_paragraph_in_the_runbook_and_no_paragraph_lost_its_alert(self) -> None:
        runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")

        assert re.findall(r"^## (Commproc\w+)$", runbook, re.MULTILINE) == [rule["alert"] for rule in RULES]
