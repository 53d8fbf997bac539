"""A mail server that answers each command with the bytes it was told, right or wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

POLITE = {b"EHLO": b"250 rogue\r\n", b"MAIL": b"250 ok\r\n", b"RCPT": b"250 ok\r\n", b"DATA": b"354 go\r\n"}


def says(
    seen: list[bytes],
    *,
    greeting: bytes = b"220 rogue\r\n",
    dot: bytes = b"250 ok\r\n",
    hangs_up_on_second: bytes = b"-",
    **replies: bytes,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
    """A server that answers each verb with the same bytes; with none, it hangs up."""
    answers = POLITE | {verb.encode(): reply for verb, reply in replies.items()}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while line := await reader.readline():
            seen.append(line)
            if sum(earlier.startswith(hangs_up_on_second) for earlier in seen) == 2:
                return
            verb = line[:4].strip().upper()
            reply = answers.get(verb, b"250 ok\r\n")
            writer.write(reply)
            if not reply:
                return
            if verb == b"DATA" and reply.startswith(b"354"):
                seen.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(dot)
                if not dot:
                    return

    return serve
