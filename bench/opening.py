"""
Ten thousand messages whose window opens at the same instant: how they are called.

    python -m bench.opening [--messages 10000] [--rate 500]
"""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.works import now_ms, text, works
from processor.core.lanes import lane_of
from processor.core.plan import DAY_MS
from processor.core.quota import lane_weights
from processor.core.words import Lane
from processor.sandbox.broker import find_broker

PRIORITIES = (7, 4, 0)  # high, normal, bulk
OPENS_S = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=500.0, help="calls a second that the provider allows")
    asked = parser.parse_args()
    limits = {"rate_per_s": asked.rate}
    with find_broker() as broker, works(broker.bootstrap, "opening", **limits) as made:
        opens = (datetime.fromtimestamp(now_ms() / 1_000, UTC) + timedelta(seconds=OPENS_S)).replace(microsecond=0)
        low_ms = int((opens - opens.replace(hour=0, minute=0, second=0)).total_seconds()) * 1_000
        window: dict[str, Any] = {"interval_min_ms": low_ms, "interval_max_ms": (low_ms + 3_600_000) % DAY_MS}
        priority = {f"{number}-{PRIORITIES[number % 3]}": PRIORITIES[number % 3] for number in range(asked.messages)}
        made.ask(text(name, priority=each, **window) for name, each in priority.items())
        if now_ms() >= opens.timestamp() * 1_000:
            raise RuntimeError("asking for them took longer than until the window opens")
        made.wait_for(asked.messages, within_s=OPENS_S + 60 + asked.messages / asked.rate * 3)
        calls = sorted(made.calls(), key=lambda each: each.first_byte_ms)
        plan = made.settings.plan()
    lanes = [lane_of(priority[each.message_id or ""], plan.channels["SMS"], plan.lanes) for each in calls]
    since_ms = [each.first_byte_ms - int(opens.timestamp() * 1_000) for each in calls]
    messages = len({each.message_id for each in calls})
    print(f"{len(calls):,} calls, {messages:,} messages; early: {sum(each < 0 for each in since_ms)}")
    took_s = (since_ms[-1] - since_ms[0]) / 1_000
    print(f"first call {since_ms[0]} ms after the window opened, the last {since_ms[-1] / 1_000:.1f} s after")
    print(f"{(len(calls) - 1) / took_s:,.0f} calls a second where the provider allows {asked.rate:g}")
    every_s = Counter(each // 1_000 for each in since_ms)
    whole = [every_s[second] for second in range(1, max(every_s))]
    print(f"in each whole second: {min(whole)} to {max(whole)}")
    print(f"weights: {', '.join(f'{lane} {weight}' for lane, weight in lane_weights.items())}")
    tenth = len(calls) // 10
    for begin in (0, tenth * 2, tenth * 5, tenth * 9):
        counts = Counter(lanes[begin : begin + tenth])
        shares = ", ".join(f"{lane} {counts[lane] / tenth:.0%}" for lane in (Lane.HIGH, Lane.NORMAL, Lane.BULK))
        print(f"calls {begin + 1:,} to {begin + tenth:,}: {shares}")


if __name__ == "__main__":
    main()
