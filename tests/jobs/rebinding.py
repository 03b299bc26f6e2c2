"""A name server that rebinds: every second answer leads inside. Run in a network of its own: see test_rebinding.py.

Prints {"asked", "inside", "outside", "refused", "delivered"} as JSON: how often the name was looked up, what reached
the receiver inside and the one outside, and what became of the deliveries.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from limner.jobs.ledger import Job
from limner.jobs.webhook import WebhookFailed, deliver

PUBLIC, INSIDE, NAME = "93.184.216.34", "127.0.0.1", "rebind.example.org"
TIMES = 60


class Names:
    """Answers each question for an address (A) in turn with the addresses of one line of `answers`."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.answers, self.asked = answers, 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((INSIDE, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, whence = self._socket.recvfrom(512)
            end = query.index(b"\0", 12) + 5
            [kind] = struct.unpack(">H", query[end - 4 : end - 2])
            found: list[str] = []
            if kind == 1:
                found = self.answers[self.asked % len(self.answers)]
                self.asked += 1
            head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0) + query[12:end]
            rows = [b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(address) for address in found]
            self._socket.sendto(head + b"".join(rows), whence)


def receiver(address: str, port: int, hits: list[str]) -> int:
    """An HTTP server that says 200; returns its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hits.append(address)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((address, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def main() -> None:
    hits: list[str] = []
    port = receiver(INSIDE, 0, hits)
    receiver(PUBLIC, port, hits)
    names = Names([[PUBLIC], [INSIDE], [PUBLIC, INSIDE], [INSIDE, PUBLIC]])
    job = Job.model_validate_json(sys.stdin.read())
    came: Counter[str] = Counter()
    for _ in range(TIMES):
        try:
            deliver(job, {"url": f"http://{NAME}:{port}/", "secret": "s" * 32})
            came["delivered"] += 1
        except WebhookFailed as e:
            came["refused"] += e.final
    print(json.dumps({"asked": names.asked, "inside": hits.count(INSIDE), "outside": hits.count(PUBLIC), **came}))


if __name__ == "__main__":
    main()
