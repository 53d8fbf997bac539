"""A mail server in a thread that answers a message as its recipient's name says, against all rules."""

from __future__ import annotations

import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Final

POLITE: Final = {b"RCPT": b"250 ok\r\n", b"DATA": b"354 go\r\n", b"DOT": b"250 ok\r\n"}
ESCAPES: Final = b"\x1b[2J\x1b[31m"

ANSWERS: Final[dict[str, dict[bytes, bytes]]] = {  # by the recipient: where it answers otherwise
    "ten-megabytes": {b"RCPT": b"250-" + b"x" * 10_000_000 + b"\r\n250 ok\r\n"},
    "endless": {b"RCPT": b"250-still\r\n" * 200_000},
    "ten-megabytes-after-the-dot": {b"DOT": b"250-" + b"x" * 10_000_000 + b"\r\n250 ok\r\n"},
    "escapes": {b"RCPT": b"550 5.1.1 " + ESCAPES + b"gone\r\n"},
    "echo": {b"RCPT": b"550 5.1.1 <{recipient}> is not here, {recipient}!\r\n"},
    "code-600": {b"RCPT": b"600 what\r\n"},
    "code-600-to-the-dot": {b"DOT": b"600 what\r\n"},
    "letter-o": {b"DOT": b"25O ok\r\n"},
    "354-twice": {b"DOT": b"354 go on\r\n"},
    "250-before-the-dot": {b"DATA": b"354 go\r\n250 ok\r\n", b"DOT": b""},
    "250-instead-of-354": {b"DATA": b"250 ok\r\n"},
}


class Rogue(ThreadingTCPServer):
    """Listens on a free port until it is closed."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        threading.Thread(target=self.serve_forever, name="rogue", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def close(self) -> None:
        """Hear nobody any more."""
        self.shutdown()
        self.server_close()


class Conversation(StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Answer until the other side has had enough."""
        try:
            self._talk()
        except OSError:  # it hung up in the middle of ten megabytes
            return

    def _talk(self) -> None:
        self._say(b"220 rogue\r\n")
        recipient = b""
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"RCPT":
                recipient = line.partition(b"<")[2].partition(b">")[0]
            self._answer(verb, recipient)
            if verb == b"DATA" and self._asked(b"DATA", recipient).startswith(b"354"):
                while self.rfile.readline() not in {b".\r\n", b""}:
                    continue
                self._answer(b"DOT", recipient)

    def _answer(self, verb: bytes, recipient: bytes) -> None:
        self._say(self._asked(verb, recipient).replace(b"{recipient}", recipient))

    def _asked(self, verb: bytes, recipient: bytes) -> bytes:
        name = recipient.partition(b"@")[0].partition(b"+")[0].decode("latin-1")
        return ANSWERS.get(name, {}).get(verb, POLITE.get(verb, b"250 ok\r\n"))

    def _say(self, reply: bytes) -> None:
        if reply:
            self.wfile.write(reply)
