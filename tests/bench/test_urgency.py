"""A row of passwords beside a campaign says that the campaign drained meanwhile, and fails where it did not."""

from __future__ import annotations

import pytest

from bench.urgency import DRAINS, Row, Table, meanwhile, rate_per_s, share
from bench.works import Unclean

TOOK_MS = [float(each) for each in range(1, 101)]


def test_the_rate_of_a_campaign_is_of_its_calls_while_passwords_were_asked_for() -> None:
    assert rate_per_s(range(0, 60_000, 5), 10_000, 40_000) == 200
    assert rate_per_s([], 10_000, 40_000) == 0


def test_a_row_beside_a_campaign_that_did_not_drain_fails(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(200)
    table.say("idle", Row(TOOK_MS, 0))
    table.say("drains", Row(TOOK_MS, 0), at_least=DRAINS)

    assert table.failed == ["drains: it did not drain"]
    assert capsys.readouterr().out.splitlines()[-1].endswith("0   180  FAILED: it did not drain")


def test_a_row_says_what_the_campaign_had_beside_what_the_limit_left_it(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(200)
    table.say("idle", Row([each / 2 for each in TOOK_MS], 0))
    table.say("drains", Row(TOOK_MS, 171), at_least=DRAINS)

    assert not table.failed
    assert capsys.readouterr().out.splitlines()[-1].split() == ["drains", "50", "99", "100", "2.0", "x", "171", "180"]


def test_the_least_that_counts_as_draining_is_nine_tenths() -> None:
    table = Table(200)
    table.say("just so", Row(TOOK_MS, 162), at_least=DRAINS)
    table.say("too slow", Row(TOOK_MS, 161), at_least=DRAINS)

    assert table.failed == ["too slow: it did not drain"]


def test_a_row_whose_passwords_ended_before_what_they_were_to_watch_fails() -> None:
    row = meanwhile(lambda: None, lambda: Row(TOOK_MS, 180, until_ms=0))
    table = Table(200)
    table.say("members move", row, at_least=DRAINS)
    table.say("a campaign comes in, however long that takes", row)

    assert table.failed == ["members move: the passwords ended first"]
    assert not meanwhile(lambda: None, lambda: Row(TOOK_MS, 180, until_ms=2**62)).outlasted


def test_a_member_that_dies_costs_a_campaign_half_of_its_rate_for_a_session() -> None:
    assert share(600) == pytest.approx(25 / 30)
    assert share(400) == pytest.approx(15 / 20)
    assert share(20) == 0.5


def test_work_that_fails_beside_a_watch_fails_the_row() -> None:
    def unclean() -> None:
        raise Unclean("it had to be killed")

    with pytest.raises(Unclean):
        meanwhile(unclean, lambda: Row(TOOK_MS, 0))
