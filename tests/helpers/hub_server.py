"""A model hub on the loopback: the requests that limner makes of one, and what goes wrong with them."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from limner.models.known import WeightsFile

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 10_000  # bytes from which a file has a SHA-256, as those in git-lfs have


@dataclass
class Faults:
    """What goes wrong, by the end of a file's path."""

    cut: dict[str, int] = field(default_factory=dict)
    """Bytes of a body after which the connection ends, once."""
    lasting: bool = False
    """Whether a file that has been cut cannot be reached any more."""
    damaged: set[str] = field(default_factory=set)
    """Files whose bytes are others than the declared ones, at the same length."""
    pages: set[str] = field(default_factory=set)
    """Files in whose place a GET answers a page of HTML."""
    status: int = 0
    """The status of every answer; 0 for the right one."""
    login: bool = False
    """Answer everything with a page of HTML and 200, as the network of a hotel does."""
    etag: str = ""
    """The ETag of every file; "" for the right one."""
    gone: set[str] = field(default_factory=set)
    """Files whose connections are closed without an answer."""
    stalls: dict[str, int] = field(default_factory=dict)
    """Bytes of a body after which nothing comes, with the connection open, until the server ends."""
    listed: str = ""
    """What the list of files answers instead of it."""


@dataclass
class Hub:
    """The server: its address, what it was asked, and its faults, which a test may change at any time."""

    url: str
    faults: Faults = field(default_factory=Faults)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path within the repository, and Range of each request."""

    def got(self) -> list[tuple[str, str]]:
        """Path and Range of each GET."""
        return [(path, part) for method, path, part in self.asked if method == "GET"]


def sha256(path: Path) -> str:
    """A file's digest, computed once: a client that waits for a header gives up after a while."""
    facts = path.stat()
    return _digest(path, facts.st_size, facts.st_mtime_ns)


@cache
def _digest(path: Path, _size: int, _changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def weights_of(folder: Path) -> tuple[WeightsFile, ...]:
    """A folder's files as a table of known models lists them."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return tuple(WeightsFile(str(p.relative_to(folder)), p.stat().st_size, sha256(p)) for p in files)


@contextmanager
def hub_of(repository: str, folder: Path) -> Iterator[Hub]:
    """Serve a folder as the files of a repository."""

    def is_large(path: str) -> bool:
        return (folder / path).is_file() and (folder / path).stat().st_size >= LARGE

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            if re.fullmatch(rf"/api/models/{re.escape(repository)}\?blobs=(?i:true)", self.path):
                hub.asked.append((self.command, "", ""))
                self.listing()
                return
            match = re.fullmatch(rf"/(?:{re.escape(repository)}/resolve/[^/]+|store)/(.+)", self.path)
            path = match[1] if match else self.path
            stored = self.path.startswith("/store/")
            if self.command == "HEAD" or stored or not is_large(path):
                hub.asked.append((self.command, path, self.headers.get("Range", "")))
            faults = hub.faults
            if path in faults.gone:
                self.close_connection = True
                return
            if faults.status:
                self.page(faults.status, body)
            elif faults.login or (path in faults.pages and body):
                self.page(200, body)
            elif match is None or not (folder / path).is_file():
                self.page(404, body)
            elif is_large(path) and not stored:
                self.redirect(path)
            else:
                self.file(path, body)

        def listing(self) -> None:
            """The files of the repository, with size and digest, as the hub's API lists them."""
            siblings = []
            for path in sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()):
                data = (folder / path).read_bytes()
                row = {"rfilename": path, "size": len(data), "blobId": "0" * 40}
                if is_large(path):
                    row["lfs"] = {"sha256": sha256(folder / path), "size": len(data), "pointerSize": 134}
                siblings.append(row)
            facts = {"id": repository, "sha": COMMIT, "siblings": siblings, "cardData": {"license": "apache-2.0"}}
            if hub.faults.status or hub.faults.login:
                self.page(hub.faults.status or 200, body=True)
                return
            text = (hub.faults.listed or json.dumps(facts)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def redirect(self, path: str) -> None:
            """Large files lie on another host; the hub itself declares their size and digest."""
            self.send_response(302)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{hub.faults.etag or sha256(folder / path)}"')
            self.send_header("X-Linked-Size", str((folder / path).stat().st_size))
            self.send_header("Location", f"http://localhost:{server.server_port}/store/{path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def page(self, status: int, body: bool) -> None:
            text = b"<!doctype html><title>Sign in</title>"
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if body:
                self.wfile.write(text)

        def file(self, path: str, body: bool) -> None:
            data = (folder / path).read_bytes()
            etag = "of-the-store" if is_large(path) else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if path in hub.faults.damaged:
                data = data[:-1] + bytes([data[-1] ^ 1])
            start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            first = int(start[1]) if start else 0
            self.send_response(206 if start else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hub.faults.etag or etag}"')
            self.send_header("Content-Length", str(len(data) - first))
            if start:
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if not body:
                return
            if path in hub.faults.stalls:
                self.wfile.write(data[first : max(first, hub.faults.stalls[path])])
                self.wfile.flush()
                ended.wait(60)
                self.close_connection = True
                return
            most = hub.faults.cut.pop(path, None)
            self.wfile.write(data[first:] if most is None else data[first:most])
            if most is not None:
                hub.faults.gone |= {path} if hub.faults.lasting else set()
                self.wfile.flush()
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    ended = threading.Event()
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
