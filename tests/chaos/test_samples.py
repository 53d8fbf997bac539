"""A long drill tells growth from what comes and goes, and who was not there to be judged."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from confluent_kafka import Producer

from chaos.samples import (
    CLIENTS_MAX,
    FILES_MAX,
    MEMORY_KIB_MAX,
    PIPE,
    REST_S,
    Course,
    Growth,
    Sample,
    Samples,
    descriptors,
    growth,
    kafka_threads,
)
from tests.support.eventually import eventually

MINUTES = 30
HEALED_S = MINUTES * 60.0
COURSE = Course(struck_s=REST_S, healed_s=HEALED_S, done_s=HEALED_S + 20)
ENDED_S = round(COURSE.done_s + REST_S)
PARTS_APART_MIN = MINUTES * 4 / 9


@dataclass
class Held:
    """
    What a process holds: grown to its size in eight minutes, with connections that come and go, and are cut.

    While there are faults it now and then has a Kafka client more than it needs.
    """

    kib_per_min: float = 0.0
    sockets_per_min: float = 0.0
    pipes_per_min: float = 0.0
    clients_per_min: float = 0.0

    def from_s(self, begin_s: int, until_s: int) -> list[Sample]:
        return [
            Sample(
                at_s,
                round(60_000 + 80 * min(at_s, 480) + 500 * (at_s % 90 > 60) + self.kib_per_min * at_s / 60),
                round((20 + at_s / 40) * (at_s % 170 > 4) + 60 * (at_s % 60 > 30) + self.sockets_per_min * at_s / 60),
                round(7 + 2 * (at_s % 9 == 1) + self.pipes_per_min * at_s / 60),
                round(6 + self._clients(at_s) + self.clients_per_min * at_s / 60),
            )
            for at_s in range(begin_s, until_s, 2)
        ]

    @staticmethod
    def _clients(at_s: int) -> int:
        if at_s < 15:
            return -2  # not all were needed yet
        return int(COURSE.struck_s <= at_s < COURSE.done_s and at_s % 60 > 40)


def sampled(*lives: list[Sample], name: str = "intake/1") -> Samples:
    pids = count(1)
    taken = {(name, next(pids)): life for life in lives}
    return Samples({}, taken, ENDED_S)


def test_what_a_member_holds_once_it_has_its_size_and_what_comes_and_goes_is_no_growth() -> None:
    assert growth(Held().from_s(2, ENDED_S), COURSE) == Growth(98_400, 0, 0.0, 0, 0, 7, 0, 6, 0)
    assert sampled(Held().from_s(2, ENDED_S)).grown(["intake/1"], COURSE) == []


def test_a_few_hundred_kibibytes_a_minute_are_a_breach_and_so_is_a_descriptor_a_minute() -> None:
    leak = Held(kib_per_min=400)
    found = growth(leak.from_s(2, ENDED_S), COURSE)

    assert abs(found.memory_kib_per_min - 400) < 20
    assert abs(found.memory_kib_more - 400 * PARTS_APART_MIN) < 300
    assert found.memory_kib_more > MEMORY_KIB_MAX
    assert not found.is_flat
    [told] = sampled(leak.from_s(2, ENDED_S)).grown(["intake/1"], COURSE)
    assert told.startswith("intake/1: ")
    sockets = growth(Held(sockets_per_min=1).from_s(2, ENDED_S), COURSE)
    assert sockets.sockets_more > FILES_MAX
    pipes = growth(Held(pipes_per_min=1).from_s(2, ENDED_S), COURSE)
    assert pipes.others_more > FILES_MAX
    clients = growth(Held(clients_per_min=0.1).from_s(2, ENDED_S), COURSE)
    assert clients.clients_more > CLIENTS_MAX
    assert not sockets.is_flat
    assert not pipes.is_flat
    assert not clients.is_flat


def test_all_samples_are_kept_to_be_looked_into(tmp_path: Path) -> None:
    sampled(Held().from_s(2, 6)).keep(tmp_path / "samples.tsv")
    names, *lines = (tmp_path / "samples.tsv").read_text(encoding="utf-8").splitlines()
    assert names.split("\t") == ["name", "pid", "at_s", "memory_kib", "sockets", "others", "clients"]
    assert [line.split("\t")[:3] for line in lines] == [["intake/1", "1", "2"], ["intake/1", "1", "4"]]


def test_a_watched_member_that_was_not_there_all_the_time_is_a_finding_and_another_one_is_not() -> None:
    restarted = sampled(Held().from_s(2, 700), Held().from_s(702, ENDED_S))

    unseen = ["intake/1 was not there all the time"]
    assert restarted.grown(["intake/1"], COURSE) == unseen
    assert restarted.grown([], COURSE) == []
    assert sampled(Held().from_s(2, 1_700)).grown(["intake/1"], COURSE) == unseen
    assert sampled(Held().from_s(100, ENDED_S)).grown(["intake/1"], COURSE) == unseen
    assert sampled().grown(["intake/1"], COURSE) == unseen
    assert sampled(Held(kib_per_min=4_000).from_s(2, ENDED_S), name="intake/0").grown(["intake/1"], COURSE) == unseen


def test_sockets_are_told_from_other_descriptors() -> None:
    folder = Path("/proc/self/fd")
    sockets, others = descriptors(folder)
    with socket.socket(), (Path("/dev/null")).open("rb"), socket.socket():
        more_sockets, more_others = descriptors(folder)

    assert (more_sockets - sockets, more_others - others) == (2, 1)


def test_kafka_clients_are_counted_and_what_wakes_their_threads_is_known() -> None:
    home = Path("/proc/self")
    before, spoken_to_before = kafka_threads(home / "task")
    others_before = descriptors(home / "fd")[1]
    client = Producer({"bootstrap.servers": "127.0.0.1:1,127.0.0.1:2", "log_level": 0})

    def known() -> bool:
        clients, spoken_to = kafka_threads(home / "task")
        others = descriptors(home / "fd")[1] - others_before
        return clients == before + 1 and others == PIPE * (spoken_to - spoken_to_before) > 0

    eventually(known, within_s=10)
    del client
    eventually(lambda: kafka_threads(home / "task") == (before, spoken_to_before), within_s=10)
