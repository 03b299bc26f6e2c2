"""Webhooks: signed and sent once, to whom they may go and to nobody else. Receivers and canaries are real servers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from limner.errors import BadInput
from limner.jobs import webhook
from limner.jobs.ledger import Job, Ledger, Order
from limner.jobs.ledger.database import Database, database_url, migrate
from limner.jobs.webhook import WebhookFailed, check_url, deliver, read_hosts, send_due
from limner.settings import Settings

SECRET = "a secret of some length"
PUBLIC = "93.184.215.14"  # an address on the internet; no test connects to it


@dataclass
class Receiver:
    """An HTTP server on the loopback that answers as told, in order, the last answer for ever; keeps what it got."""

    answers: list[Callable[[BaseHTTPRequestHandler], None]]
    tls: ssl.SSLContext | None = None
    hits: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Receiver:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.hits.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.receiver = receiver
                left = receiver.answers
                (left.pop(0) if len(left) > 1 else left[0])(self)

            def do_GET(self) -> None:
                receiver.hits.append((self.path, {}, b""))
                self.send_error(404)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up on purpose
        self.port = self.server.server_address[1]
        if self.tls:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?for=me"

    @property
    def allowed(self) -> frozenset[str]:
        return frozenset({f"127.0.0.1:{self.port}"})


def status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def job(**changed: Any) -> Job:
    """A job that has ended."""
    values: dict[str, Any] = {
        "id": "honey-1a2b",
        "owner": "ann",
        "title": "Honey — 蜂蜜",
        "state": "done",
        "queue": "batch",
        "batch": "batch-77",
        "step": "arrange",
        "done": 3,
        "of": 3,
        "spent": 1234,
        "error": "",
        "attempt": 2,
        "crashes": 0,
        "tries": 0,
        "created": 1_800_000_000.0,
        "started": 1_800_000_001.0,
        "finished": 1_800_000_061.25,
        "last_event": 1_800_000_061.25,
        "not_before": None,
        "question": None,
        "webhook_state": "due",
        "webhook_error": "",
        "now": 1_800_000_062.5,
    }
    return Job(**(values | changed))


def hook(url: str, secret: str = SECRET) -> dict[str, str]:
    return {"url": url, "secret": secret}


# --- what is sent ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "key"),
    [(SECRET, SECRET.encode()), ("whsec_" + base64.b64encode(bytes(range(32))).decode(), bytes(range(32)))],
    ids=["text", "whsec"],
)
def test_a_receiver_can_verify_who_sent_it(secret: str, key: bytes) -> None:
    with Receiver([status(200)]) as receiver:
        deliver(job(), hook(receiver.url, secret), allowed_hosts=receiver.allowed)
        ((path, headers, body),) = receiver.hits
    assert path == "/hook?for=me"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["content-type"] == "application/json"
    # as the standard's page words it, from the bytes on the wire
    content = headers["webhook-id"] + "." + headers["webhook-timestamp"] + "." + body.decode()
    expected = base64.b64encode(hmac.new(key, content.encode(), hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-timestamp"] == "1800000062"
    assert json.loads(body) == {
        "type": "job.done",
        "timestamp": "2027-01-15T08:01:01.250+00:00",
        "data": {
            "id": "honey-1a2b",
            "title": "Honey — 蜂蜜",
            "state": "done",
            "error": "",
            "spent": 1234,
            "finished": 1_800_000_061.25,
            "batch": "batch-77",
        },
    }


def test_the_id_is_that_of_the_job_and_its_end() -> None:
    def named(j: Job) -> str:
        return webhook.signed(j, b"{}", b"key")["webhook-id"]

    assert named(job()) == named(job(now=1_800_009_999.0))
    assert len({named(job()), named(job(finished=1_800_000_099.0)), named(job(id="other-1"))}) == 3
    assert "." not in named(job())  # dots separate the parts of what is signed


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64", "whsec_é"])
def test_a_secret_that_is_no_key_is_refused(secret: str) -> None:
    with pytest.raises(WebhookFailed, match="Copy all of it again") as caught:
        deliver(job(), hook("https://hooks.example.org/", secret))
    assert caught.value.final


# --- where it may not go --------------------------------------------------------------------------------------------

INTERNAL = [
    "http://169.254.169.254:{port}/latest/meta-data/",
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.1:{port}/",
    "http://127.1.:{port}/",
    "http://2130706433:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0x7f.1:{port}/",
    "http://0X7F000001:{port}/",
    "http://127.0.0.0x1:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0:{port}/",
    "http://0x:{port}/",
    "http://10.1.2.3:{port}/",
    "http://172.16.0.1:{port}/",
    "http://192.168.1.1:{port}/",
    "http://100.64.0.1:{port}/",
    "http://100.127.255.254:{port}/",
    "http://192.0.0.8:{port}/",
    "http://198.18.0.1:{port}/",
    "http://192.88.99.1:{port}/",
    "http://224.0.0.1:{port}/",
    "http://255.255.255.255:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::ffff:169.254.169.254]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b::169.254.169.254]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2002:a9fe:a9fe::1]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    "http://[2001:20::1]:{port}/",
    "http://[2001:db8::1]:{port}/",
    "http://[3fff::1]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fc00::1]:{port}/",
    "http://[fec0::1]:{port}/",
    "http://[ff0e::1]:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST.:{port}/",
    "http://hooks.localhost:{port}/",
]
UNUSABLE = [
    "http://[fe80::1%25lo]:{port}/",
    "http://user:password@127.0.0.1:{port}/",
    "http://user@hooks.example.org:{port}/",
    "http://@127.0.0.1:{port}/",
    "http://hooks.example.org\\@127.0.0.1:{port}/",
    "http://hooks.example.org @127.0.0.1:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1:{port}/\r\nX-Evil: 1",
    "http://①②⑦.0.0.1:{port}/",
    "http://127。0。0。1:{port}/",
    "http://127.0.0.1%00:{port}/",
    "http://1.2.3.4.5:{port}/",
    "http://hooks.example.org.09:{port}/",
    "http://hooks.example.org:0/",
    "http://hooks.example.org:99999/",
    "http://[::1:{port}/",
    "http://:{port}/",
    "http://",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    "",
    "file:///etc/passwd",
    "file://127.0.0.1:{port}/etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_POST",
    "data:text/plain,127.0.0.1:{port}",
    "javascript:alert(1)",
    "unix:///var/run/docker.sock",
]


@pytest.mark.parametrize("url", INTERNAL + UNUSABLE)
def test_internal_addresses_are_refused_in_every_spelling(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **_: asked.append(a))
    with Receiver([status(200)]) as canary:
        target = url.replace("{port}", str(canary.port))
        with pytest.raises(BadInput, match=r"\.$") as refused:
            check_url(target)
        with pytest.raises(WebhookFailed) as caught:
            deliver(job(), hook(target))
    assert caught.value.final
    assert "\n" not in str(caught.value)
    assert str(refused.value) == str(caught.value)
    assert "password" not in str(caught.value)
    assert canary.hits == []
    assert asked == []  # not even looked up


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org/a?b=c%20d#e",
        "http://HOOKS.example.org.:8080",
        "https://1password.example/",
        "https://xn--bcher-kva.example/",
        "https://93.184.215.14/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443/",
        "https://[64:ff9b::5db8:d70e]/",
        "https://[::ffff:93.184.215.14]/",
    ],
)
def test_public_addresses_may_be_named(url: str) -> None:
    check_url(url)


def test_an_operator_may_allow_a_host_inside_and_only_that() -> None:
    allowed = read_hosts(" 10.0.0.5:8080, Hooks.Internal ,[::1]:9, ")
    assert allowed == {"10.0.0.5:8080", "hooks.internal", "[::1]:9"}
    for url in ("http://10.0.0.5:8080/", "http://hooks.internal:123/", "http://[::1]:9/"):
        check_url(url, allowed)
    for url in ("http://10.0.0.5/", "http://10.0.0.5:8081/", "http://10.0.0.6:8080/", "http://[::1]:10/"):
        with pytest.raises(BadInput, match="LIMNER_WEBHOOK_HOSTS"):
            check_url(url, allowed)
    with pytest.raises(BadInput, match="credentials"):
        check_url("http://ann:password@hooks.internal/", allowed)


# --- names: what was checked is what is connected to ----------------------------------------------------------------


@contextmanager
def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Iterator[list[str]]:
    """A name server that gives these answers one after the other; yields the names asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        found = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (a, port, 0, 0))
            if ":" in a
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port))
            for a in found
        ]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield asked


@pytest.mark.parametrize(
    "answer",
    [
        *[["127.0.0.1"], ["169.254.169.254"], [PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC], ["::1"], ["100.64.1.1"]],
        *[["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["2002:7f00:1::"], ["0.0.0.0"], ["fe80::1%1"]],
    ],
    ids=str,
)
def test_a_name_that_leads_inside_is_refused_and_nothing_connects(
    answer: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = pytest.raises(WebhookFailed, match="internal address")
    with Receiver([status(200)]) as canary, names(monkeypatch, answer), refused as caught:
        deliver(job(), hook(f"http://rebind.example.org:{canary.port}/"))
    assert caught.value.final
    assert canary.hits == []
    assert not any(a in str(caught.value) for a in answer)  # the network inside is nobody's business


def test_a_name_that_changes_its_mind_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[Any] = []
    connect = socket.socket.connect
    with Receiver([status(200)]) as canary, Receiver([status(200)]) as outside:

        def internet(self: socket.socket, address: Any) -> None:
            """The one public address there is; it is played by `outside`."""
            went.append(address)
            connect(self, ("127.0.0.1", outside.port) if address[0] == PUBLIC else address)

        monkeypatch.setattr(socket.socket, "connect", internet)
        with names(monkeypatch, [PUBLIC], ["127.0.0.1"]) as asked:
            deliver(job(), hook(f"http://rebind.example.org:{canary.port}/"))
            with pytest.raises(WebhookFailed, match="internal address"):  # and the next time it is looked at anew
                deliver(job(), hook(f"http://rebind.example.org:{canary.port}/"))
    assert asked == ["rebind.example.org"] * 2
    assert went == [(PUBLIC, canary.port)]
    assert len(outside.hits) == 1
    assert outside.hits[0][1]["host"] == f"rebind.example.org:{canary.port}"
    assert canary.hits == []


def test_a_name_that_is_not_known_may_be_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(WebhookFailed, match=r"hooks\.example\.org cannot be looked up") as caught:
        deliver(job(), hook("https://hooks.example.org/?key=private"))
    assert not caught.value.final
    assert "private" not in str(caught.value)


def test_the_second_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver([status(200)]) as receiver, names(monkeypatch, ["127.0.0.2", "127.0.0.1"]):
        allowed = frozenset({"hooks.internal"})
        deliver(job(), hook(f"http://hooks.internal:{receiver.port}/"), allowed_hosts=allowed)
        assert len(receiver.hits) == 1


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of hooks.example.org with its key, which signs itself."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", "/CN=hooks.example.org", "-addext", "subjectAltName=DNS:hooks.example.org", "-days", "2"]
    subprocess.run([*made, *named, "-keyout", file, "-out", f"{file}.crt"], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.mark.parametrize(("name", "trusted"), [("hooks.example.org", True), ("other.example.org", False)])
def test_the_certificate_is_checked_against_the_name(
    name: str, trusted: bool, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    with Receiver([status(204)], tls=context) as receiver, names(monkeypatch, ["127.0.0.1"]):
        url = f"https://{name}:{receiver.port}/"
        if trusted:
            deliver(job(), hook(url), allowed_hosts=frozenset({name}))
        else:
            with pytest.raises(WebhookFailed, match=r"no valid certificate.*mismatch") as caught:
                deliver(job(), hook(url), allowed_hosts=frozenset({name}))
            assert not caught.value.final
    assert len(receiver.hits) == int(trusted)


# --- what receivers answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(code: int) -> None:
    refused = pytest.raises(WebhookFailed, match=f"answers {code}, a redirect")
    with (
        Receiver([status(200)]) as canary,
        Receiver([status(code, Location=canary.url)]) as receiver,
        refused as caught,
    ):
        deliver(job(), hook(receiver.url), allowed_hosts=receiver.allowed | canary.allowed)
    assert caught.value.final
    assert len(receiver.hits) == 1
    assert canary.hits == []


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver([status(200)]) as canary, Receiver([status(200)]) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
        deliver(job(), hook(receiver.url), allowed_hosts=receiver.allowed)
    assert (len(receiver.hits), canary.hits) == (1, [])


@pytest.mark.parametrize(
    ("code", "final"),
    [
        *[(code, True) for code in (400, 401, 404, 410, 422)],
        *[(code, False) for code in (408, 409, 425, 429, 500, 502, 503)],
    ],
)
def test_which_answers_are_worth_another_try(code: int, final: bool) -> None:
    with Receiver([status(code)]) as receiver, pytest.raises(WebhookFailed, match=f"answers {code}") as caught:
        deliver(job(), hook(receiver.url), allowed_hosts=receiver.allowed)
    assert caught.value.final is final
    assert "for=me" not in str(caught.value)  # paths and queries hold keys


def silence(handler: Any) -> None:
    handler.receiver.closing.wait(30)


def dripping_headers(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while not handler.receiver.closing.wait(0.02):
        handler.wfile.write(b"x")


def endless_continue(handler: Any) -> None:
    while not handler.receiver.closing.is_set():
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def nonsense(handler: Any) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


def hang_up(handler: Any) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (silence, "takes longer than 0.5 s"),
        (dripping_headers, "takes longer than 0.5 s"),
        (endless_continue, "cannot be reached|takes longer"),
        (nonsense, "cannot be reached"),
        (hang_up, "cannot be reached"),
    ],
)
def test_receivers_that_give_no_answer_are_left(answer: Callable[[Any], None], why: str) -> None:
    with Receiver([answer]) as receiver:
        with pytest.raises(WebhookFailed, match=why) as caught:
            deliver(job(), hook(receiver.url), allowed_hosts=receiver.allowed, timeout=0.5)
        assert not receiver.closing.is_set()
    assert not caught.value.final
    assert "\n" not in str(caught.value)


def test_an_answer_without_end_is_cut() -> None:
    sent: list[int] = []
    cut = threading.Event()

    def endless(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while not handler.receiver.closing.is_set():
                handler.wfile.write(b"2000\r\n" + bytes(0x2000) + b"\r\n")
                sent.append(0x2000)
        except OSError:
            cut.set()

    with Receiver([endless]) as receiver:
        deliver(job(), hook(receiver.url), allowed_hosts=receiver.allowed, timeout=60)  # 200: it was taken
        assert cut.wait(30), "the receiver could go on sending"
    assert sum(sent) < 50_000_000  # what the kernel buffers, not what it would have sent in a minute


def test_no_more_of_an_answer_is_read_than_fits() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=theirs.sendall, args=(bytes(2 * webhook.MAX_ANSWER),))
        thread.start()
        bounded = webhook._Bounded(ours, webhook.time.monotonic() + 60)
        with bounded.makefile("rb") as answer:
            assert len(answer.read()) == webhook.MAX_ANSWER
        ours.settimeout(60)
        rest = 0
        while rest < webhook.MAX_ANSWER:  # what was left is all there
            rest += len(ours.recv(65536))
        thread.join()


def test_nothing_listens() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{s.getsockname()[1]}"
        with pytest.raises(WebhookFailed, match="cannot be reached") as caught:
            deliver(job(), hook(f"http://{place}/"), allowed_hosts=frozenset({place}))
    assert not caught.value.final


# --- from the ledger ------------------------------------------------------------------------------------------------


class Hurried(Ledger):
    """A ledger whose waits are kept and are over at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.waits: list[float | None] = []

    def webhook_failed(self, job: str, why: str, again_in: float | None) -> None:
        self.waits.append(again_in)
        super().webhook_failed(job, why, None if again_in is None else 0)


@pytest.fixture
def ledger(home: Path) -> Iterator[Hurried]:
    database = Database(database_url(Settings()))
    migrate(database)
    yield Hurried(database)
    database.close()


def ended(ledger: Ledger, url: str, title: str = "Honey") -> Job:
    """A job with a webhook that was submitted and cancelled."""
    ((made, _),) = ledger.submit("ann", [Order(title, {"brief": title}, webhook=hook(url))])
    return ledger.cancel(made.id)


def allowing(*receivers: Receiver) -> Settings:
    return Settings(webhook_hosts=",".join(f"127.0.0.1:{r.port}" for r in receivers))


def test_a_refused_message_is_sent_again_and_taken_once(ledger: Hurried) -> None:
    with Receiver([status(500), status(503), status(200)]) as receiver:
        made = ended(ledger, receiver.url)
        settings = allowing(receiver)
        assert [send_due(ledger, settings) for _ in range(5)] == [0, 0, 1, 0, 0]
    assert [h[1]["webhook-id"] for h in receiver.hits] == [receiver.hits[0][1]["webhook-id"]] * 3
    assert {json.loads(h[2])["type"] for h in receiver.hits} == {"job.cancelled"}
    assert ledger.waits == [10, 60]
    found = ledger.job(made.id)
    assert (found.webhook_state, found.webhook_error) == ("sent", "")


def test_a_receiver_that_is_gone_is_not_asked_again(ledger: Hurried) -> None:
    with Receiver([status(410)]) as receiver:
        made = ended(ledger, receiver.url)
        assert [send_due(ledger, allowing(receiver)) for _ in range(3)] == [0, 0, 0]
    assert len(receiver.hits) == 1
    assert ledger.waits == [None]
    found = ledger.job(made.id)
    assert found.webhook_state == "failed"
    assert "answers 410" in found.webhook_error


def test_after_a_day_of_failures_it_is_given_up(ledger: Hurried) -> None:
    with Receiver([status(500)]) as receiver:
        made = ended(ledger, receiver.url)
        for _ in range(10):
            send_due(ledger, allowing(receiver))
    assert len(receiver.hits) == 7
    assert ledger.waits == [10, 60, 300, 1800, 7200, 21_600, None]
    assert ledger.job(made.id).webhook_state == "failed"


def test_a_failing_webhook_stops_no_other(ledger: Hurried) -> None:
    with Receiver([status(500)]) as broken, Receiver([status(200)]) as receiver:
        first = ended(ledger, "http://169.254.169.254/latest/meta-data/", "Metadata")
        second = ended(ledger, broken.url, "Broken")
        third = ended(ledger, receiver.url, "Fine")
        assert send_due(ledger, allowing(broken, receiver)) == 1
    states = [ledger.job(j.id).webhook_state for j in (first, second, third)]
    assert states == ["failed", "due", "sent"]
    assert "internal address" in ledger.job(first.id).webhook_error


def test_a_fault_of_ours_keeps_the_message(ledger: Hurried, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(webhook, "message", broken)
    with Receiver([status(200)]) as receiver:
        made = ended(ledger, receiver.url)
        assert send_due(ledger, allowing(receiver)) == 0
        assert "ZeroDivisionError" in ledger.job(made.id).webhook_error
        monkeypatch.undo()
        assert send_due(ledger, allowing(receiver)) == 1


def test_two_workers_send_one_message(ledger: Hurried) -> None:
    with Receiver([status(200)]) as receiver:
        for i in range(12):
            ended(ledger, receiver.url, f"Honey {i}")
        settings = allowing(receiver)
        threads = [threading.Thread(target=send_due, args=(ledger, settings)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({h[1]["webhook-id"] for h in receiver.hits}) == len(receiver.hits) == 12
