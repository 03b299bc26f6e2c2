"""A network that fails: a proxy on the loopback that can fall silent without closing anything."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on to another port of the loopback. Silent, it takes them, and connections, and says nothing."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open = threading.Event()
        self._open.set()
        self._ends: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.silenced = 0
        """How often somebody sent something in vain."""
        threading.Thread(target=self._accept, daemon=True).start()

    def of(self, url: str) -> str:
        """The same address, by way of this proxy."""
        split = urlsplit(url)
        return split._replace(netloc=split.netloc.replace(f":{self._to}", f":{self.port}")).geturl()

    def fall_silent(self) -> None:
        """From now on bytes are swallowed."""
        self._open.clear()

    def speak_again(self) -> None:
        """New connections work again; those that were met by silence stay dead, as after a router's restart."""
        self._open.set()

    def close(self) -> None:
        """Close everything."""
        self._listening.close()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:  # what is behind it is not there just now
                client.close()
                continue
            self._ends += [client, server]
            dead = threading.Event()
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(a, b, dead), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, dead: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self._open.is_set():
                    dead.set()
                    self.silenced += 1
                if not dead.is_set():
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
