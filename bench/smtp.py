"""
Measures the SMTP adapter beside Postfix's own load generator, against the same smtp-sink.

    python -m bench.smtp [--rounds 5] [--mails 20000] [--profile]

Messages per second of processor time of the sending process: the machine's other work and the sink are left
out. smtp-source, then each of ours, in each round, and the ratio is theirs. It keeps its connections too
(`-d`), sends the same size to as many, and writes one text over and over, which ours does not.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import TYPE_CHECKING, Final

import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from processor.core.message import Head, Message
from processor.core.outcome import Accepted
from processor.providers.adapter import Submission
from processor.providers.smtp.adapter import SmtpAdapter, signer_of
from processor.providers.smtp.config import DkimKey, SmtpConfig
from processor.providers.smtp.mail import Mail, build
from processor.sandbox.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

CONNECTIONS: Final = 20
MAIL_BYTES: Final = 4_096
WANTED: Final = 0.5
LINE: Final = "Dear customer, your statement for this month is ready.\n"
TEXT: Final = LINE * (3_840 // len(LINE))  # 4 KB with its header and CRLFs
HTML: Final = "<p>" + LINE * (1_500 // len(LINE)) + "</p>\n"


def submission(number: int, *, html: bool = False) -> Submission:
    """A message of about 4 KB; with HTML, half of it."""
    head = Head(f"bench-{number:09d}", "Email")
    text, page = (TEXT[: len(TEXT) // 2], HTML) if html else (TEXT, None)
    return Submission(Message(head, "someone@example.org", subject="Your statement", text=text, html=page), 1)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.smtp", description="Measure the SMTP adapter.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true", help="Show where one run of the adapter spends its time.")
    asked = parser.parse_args()
    with sink() as port:
        if asked.profile:
            profiled(port, asked.mails)
        else:
            conversation(port, asked.rounds, asked.mails)
    building(asked.rounds, asked.mails // 4)


def conversation(port: int, rounds: int, mails: int) -> None:
    """Print messages per CPU second of smtp-source, of our conversation alone, and with the mail written each time."""
    ours = {"conversation alone": exchanging, "adapter: write, converse, read": sending}
    found: dict[str, list[float]] = {name: [] for name in ours}
    sources: list[float] = []
    for _ in range(rounds):
        sources.append(source(port, mails))
        for name, run in ours.items():
            found[name].append(mails / own_cpu_s(lambda run=run: uvloop.run(run(port, mails))))  # type: ignore[misc]
    print(f"smtp-source: {spread(sources)} messages per CPU second, {MAIL_BYTES} bytes, {CONNECTIONS} connections")
    for name, rates in found.items():
        ratios = [rate / beside for rate, beside in zip(rates, sources, strict=True)]
        print(f"{name}: {spread(rates)} per CPU second, {median(ratios):.2f} x smtp-source (wanted {WANTED})")


def building(rounds: int, mails: int) -> None:
    """Print microseconds of CPU to write a mail, by what it is."""
    kinds = {
        "text": (False, config(0)),
        "text and html": (True, config(0)),
        "text, DKIM rsa-sha256 (2048 bits)": (False, config(0, key(rsa.generate_private_key(65_537, 2_048)))),
        "text, DKIM ed25519-sha256": (False, config(0, key(ed25519.Ed25519PrivateKey.generate()))),
    }
    for name, (html, of) in kinds.items():
        signer = signer_of(of)
        asked = [submission(number, html=html) for number in range(mails)]
        us = [
            own_cpu_s(lambda: [build(each, of, now_ms=0, signer=signer) for each in asked]) / mails * 1e6  # noqa: B023
            for _ in range(rounds)
        ]
        mail = build(asked[0], of, now_ms=0, signer=signer)
        size = mail.size_bytes if isinstance(mail, Mail) else 0
        print(f"writing {name}: {spread(us)} us a mail of {size} bytes")


async def sending(port: int, mails: int) -> None:
    """Send through the adapter, as dispatch does."""
    adapter = SmtpAdapter(config(port), now_ms=lambda: time.time_ns() // 1_000_000)

    async def send(number: int) -> object:
        (outcome,) = await adapter.send([submission(number)])
        if not isinstance(outcome, Accepted):
            raise SystemExit(f"not accepted: {outcome}")
        return outcome

    await at_once(send, mails)
    await adapter.close()


async def exchanging(port: int, mails: int) -> None:
    """Send one mail over and over, as smtp-source does."""
    adapter = SmtpAdapter(config(port), now_ms=lambda: 0)
    mail = build(submission(0), config(port), now_ms=0)
    if isinstance(mail, Mail):
        pool = adapter._pool  # noqa: SLF001 - measured apart
        await at_once(lambda _: pool.exchange(mail), mails)
    await adapter.close()


async def at_once(send: Callable[[int], Awaitable[object]], mails: int) -> None:
    async def some(first: int) -> None:
        for number in range(first, mails, CONNECTIONS):
            await send(number)

    await asyncio.gather(*map(some, range(CONNECTIONS)))


def profiled(port: int, mails: int) -> None:
    """Print the functions that took longest, in CPU time with the profiler's own in it."""
    profile = cProfile.Profile(time.process_time)
    profile.runcall(uvloop.run, sending(port, mails))
    pstats.Stats(profile).sort_stats("tottime").print_stats(30)


def source(port: int, mails: int) -> float:
    """Return messages per CPU second of Postfix's load generator."""
    before = getrusage(RUSAGE_CHILDREN)
    command = [program("smtp-source"), "-d", "-s", str(CONNECTIONS), "-l", str(MAIL_BYTES), "-m", str(mails)]
    subprocess.run([*command, "-f", "a@example.com", "-t", "b@example.org", f"127.0.0.1:{port}"], check=True)
    after = getrusage(RUSAGE_CHILDREN)
    return mails / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def own_cpu_s(run: Callable[[], object]) -> float:
    before_s = time.process_time()
    run()
    return time.process_time() - before_s


def config(port: int, *keys: DkimKey) -> SmtpConfig:
    return SmtpConfig(
        host="127.0.0.1",
        port=port,
        from_address="noreply@example.com",
        message_id_domain="example.com",
        tls="off",
        connections=CONNECTIONS,
        uses_per_connection=1_000_000_000,
        dkim=keys,
    )


def key(private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> DkimKey:
    raw = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return DkimKey("example.com", "bench", raw.decode())


@contextmanager
def sink() -> Iterator[int]:
    """Postfix's server that takes and forgets."""
    port = free_port()
    running = subprocess.Popen([program("smtp-sink"), "-u", "nobody", f"127.0.0.1:{port}", "1000"])
    try:
        deadline = time.monotonic() + 5
        while not listens(port):
            if running.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("smtp-sink did not start (it must be run as root)")
            time.sleep(0.02)
        yield port
    finally:
        running.terminate()
        running.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin")
    if found is None:
        raise SystemExit(f"{name} is not installed (Debian package: postfix)")
    return found


def spread(values: list[float]) -> str:
    return f"{median(values):,.0f} [{min(values):,.0f}-{max(values):,.0f}]"


if __name__ == "__main__":
    main()
