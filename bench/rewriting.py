"""
Tracking in an HTML body of 50 KB with 40 links: finding them, signing each address, and the pixel.

    python -m bench.rewriting

The addresses differ from body to body, as they do where they name the recipient. Wall time is what a call holds up the
event loop; on a machine that others use as well, processor time tells what it costs.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from typing import Any

from processor.core.tokens import Keys, Sealer, Ticket
from processor.providers.tracking.rewrite import Order, rewritten

LINKS = 40
BODY_BYTES = 50_000
ROW = (
    '<tr><td style="font-family:Arial,sans-serif;padding:4px 8px;color:#333"><p class="t">The news of this week, '
    "shortly: what is new, what is coming &amp; what you can do about it.</p></td></tr>\n"
)
LINK = (
    '<tr><td align="center"><a class="button" style="color:#fff;background:#07c;padding:8px" target="_blank" '
    'href="https://shop.example.com/products/{link}?utm_source=newsletter&amp;utm_campaign=spring&amp;for={body}">'
    "Look at it</a></td></tr>\n"
)
SEALER = Sealer(Keys(1, {1: b"a key that is made up, for measuring"}))
ORDER = Order(
    Ticket("8b0f6c3e-7a61-4f2e-9d1a-2c5e4f6a7b8c", "Email", 1_750_000_000, "spring-2025", "crm-4711"),
    "https://t.example.com",
    opens=True,
    clicks=True,
    unsubscribe_url="https://t.example.com/u/token",
)


def body(number: int) -> str:
    """Return a newsletter: LINKS links, and rows of text until it has BODY_BYTES."""
    links = [LINK.format(link=1_000 + link, body=number) for link in range(LINKS)]
    rows, over = divmod((BODY_BYTES - sum(map(len, links))) // len(ROW) + 1, LINKS)
    lines = "".join(ROW * rows + link for link in links) + ROW * over
    return f"<!doctype html><html><head><title>News</title></head><body><table>\n{lines}</table></body></html>\n"


def taken_ms(bodies: list[str]) -> tuple[list[float], list[float]]:
    """Return processor and wall time of each rewriting."""
    processor, wall = [], []
    for html in bodies:
        begin_ns, begin_cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        rewritten(html, ORDER, SEALER)
        processor.append((time.process_time_ns() - begin_cpu_ns) / 1e6)
        wall.append((time.perf_counter_ns() - begin_ns) / 1e6)
    return processor, wall


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=2_000)
    options = parser.parse_args(arguments)
    bodies = [body(number) for number in range(options.bodies)]
    before, after = bodies[0], rewritten(bodies[0], ORDER, SEALER).html
    print(f"Python {platform.python_version()}, {platform.machine()}; {options.bodies} bodies,", end=" ")
    print(f"{len(before) / 1_000:.1f} KB before, {len(after) / 1_000:.1f} KB after, {after.count('/c/')} links")
    print(f"{'':20}{'best ms':>10}{'median ms':>12}{'p99 ms':>10}")
    for name, taken in zip(("processor time", "wall time"), taken_ms(bodies), strict=True):
        cuts = statistics.quantiles(taken, n=100)
        print(f"{name:20}{min(taken):10.2f}{statistics.median(taken):12.2f}{cuts[98]:10.2f}")


if __name__ == "__main__":
    main()
