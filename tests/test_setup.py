"""`bin/uv` on machines that differ in what they have: pip, venv, pipx, a Python that the system manages, nothing.

The PATH of each test is one folder, with the usual programs and what that machine would have. pip, venv and the pip
that is fetched are real ones; they install a tiny wheel named uv from a folder or an index on the loopback.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USUAL = [
    "cat", "chmod", "cp", "dirname", "env", "grep", "ls", "mkdir", "mktemp", "mv", "rm", "sed", "sh", "sleep", "tail",
]  # fmt: skip
SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]
PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
HAS_VENV = subprocess.run([PYTHON, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0
needs_venv = pytest.mark.skipif(not HAS_VENV, reason="this Python came without venv or ensurepip")

UV = """#!/bin/sh
case "$*" in
  --version) echo "uv VERSION (a test's)" ;;
  "python find "*) [ -z "${NO_PYTHON-}" ] ;;
  "python install "*) echo "error: Failed to download" >&2; exit 2 ;;
  *) printf '<%s>' "$0" "$@" ;;
esac
"""
BUNDLED = """
import ensurepip, pathlib, sysconfig
folders = [pathlib.Path(ensurepip.__file__).parent / "_bundled"]
folders += map(pathlib.Path, filter(None, [sysconfig.get_config_var("WHEEL_PKG_DIR")]))  # Debian and Fedora
print(next(wheel for folder in folders for wheel in folder.glob("pip-*")))
"""
NO_PIP = 'case "$*" in "-m pip "*) echo "No module named pip" >&2; exit 1 ;; esac\n'
NO_VENV = 'case "$*" in "-m venv "*) echo "ensurepip is not available" >&2; exit 1 ;; esac\n'
MANAGED = """case "$*" in "-m pip "*" --target "*) ;; "-m pip "*)
  echo "error: externally-managed-environment" >&2; exit 1 ;; esac
"""
REAL = f'exec {shlex.quote(str(PYTHON))} "$@"\n'


class Machine:
    """A checkout, and a PATH of one folder."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.path, self.wheels = folder / "a checkout", folder / "path", folder / "wheels"
        (self.checkout / "bin").mkdir(parents=True)
        shutil.copy(ROOT / "bin" / "uv", self.checkout / "bin" / "uv")
        shutil.copy(ROOT / "pyproject.toml", self.checkout)
        self.path.mkdir()
        for name in USUAL:
            (self.path / name).symlink_to(shutil.which(name) or pytest.fail(f"no {name} here"))
        self.wheels.mkdir()
        self.environment = {
            "PATH": str(self.path),
            "HOME": str(folder / "home"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        wheel(self.wheels)

    def has(self, name: str, script: str, folder: Path | None = None) -> Path:
        """Put a program on the PATH."""
        file = (folder or self.path) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}", encoding="utf-8")
        file.chmod(0o755)
        return file

    def start(self, *args: str, shell: str = "sh") -> subprocess.Popen[str]:
        command = [shutil.which(shell) or shell, *(["sh"] if shell == "busybox" else [])]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*command, str(self.checkout / "bin" / "uv"), *args],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True,
        )  # fmt: skip

    def run(self, *args: str, shell: str = "sh") -> tuple[int, str, str]:
        """(exit status, stdout, stderr) of `bin/uv ARGS`."""
        process = self.start(*args, shell=shell)
        out, err = process.communicate()
        return process.returncode, out, err

    def left(self) -> list[str]:
        """What lies in .uv afterwards."""
        folder = self.checkout / ".uv"
        return sorted(f.name for f in folder.iterdir()) if folder.is_dir() else []


def wheel(folder: Path, version: str = "99.0") -> None:
    """A wheel `uv` whose program is a shell script."""
    with zipfile.ZipFile(folder / f"uv-{version}-py3-none-any.whl", "w") as file:
        info = f"uv-{version}.dist-info"
        program = zipfile.ZipInfo(f"uv-{version}.data/scripts/uv")
        program.external_attr = 0o100755 << 16  # pip keeps the bit that lets it run
        file.writestr(program, UV.replace("VERSION", version))
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def index_of_pip(folder: Path, digest: str | None = None) -> Iterator[str]:
    """A package index on the loopback that has the pip which this Python bundles."""
    bundled = subprocess.run([PYTHON, "-c", BUNDLED], capture_output=True, text=True, check=True).stdout.strip()
    page = folder / "simple" / "pip"
    page.mkdir(parents=True)
    (folder / "files").mkdir()
    content = Path(bundled).read_bytes()
    name = "pip-25.0.1-py3-none-any.whl"
    (folder / "files" / name).write_bytes(content)
    digest = digest or hashlib.sha256(content).hexdigest()
    (page / "index.html").write_text(f'<a href="../../files/{name}#sha256={digest}">{name}</a>', encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# --- a uv that is there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_a_uv_on_the_path_is_run_with_every_argument(machine: Machine, shell: str) -> None:
    uv = machine.has("uv", UV.replace("VERSION", "0.6.0"))
    words = ["run", "limner", "", "two  words", "a'\"b", "*", "$HOME", "line\nline", "-x=-"]
    code, out, err = machine.run(*words, shell=shell)
    assert (code, out, err) == (0, "".join(f"<{w}>" for w in [str(uv), *words]), "")
    assert machine.left() == []


def test_the_exit_status_is_uvs(machine: Machine) -> None:
    machine.has("uv", '#!/bin/sh\n[ "$1" != --version ] || { echo uv 1.2.3; exit; }\nexit 7\n')
    assert machine.run("lock")[0] == 7


@pytest.mark.parametrize(
    "unfit", [UV.replace("VERSION", "0.5.31"), "#!/bin/sh\necho 'pyenv: uv: command not found' >&2; exit 127\n"]
)
def test_an_old_or_broken_uv_is_passed_over(machine: Machine, unfit: str) -> None:
    machine.has("uv", unfit)
    better = machine.has("uv", UV.replace("VERSION", "0.13.9"), machine.path.parent / "later")
    machine.environment["PATH"] += f":/nowhere:{better.parent}"
    assert machine.run("lock") == (0, f"<{better}><lock>", "")


def test_the_script_on_the_path_does_not_find_itself(machine: Machine, tmp_path: Path) -> None:
    """Nor another checkout's, which would look for this one."""
    other = Machine(tmp_path / "other")
    machine.environment["PATH"] = f"{machine.checkout}/bin:{other.checkout}/bin:{machine.path}"
    uv = machine.has("uv", UV.replace("VERSION", "0.13.9"))
    assert machine.run("lock") == (0, f"<{uv}><lock>", "")


# --- none: one is fetched ---------------------------------------------------------------------------------------------


def fetched(machine: Machine, shell: str = "sh") -> None:
    """`bin/uv` fetches one, says so, keeps it, and leaves nothing else."""
    own = machine.checkout / ".uv" / "uv"
    code, out, err = machine.run("lock", "--check", shell=shell)
    assert (code, out) == (0, f"<{own}><lock><--check>"), err
    assert err.count("\n") == 1
    assert "fetching" in err
    assert machine.left() == ["uv"]
    assert machine.run("lock", shell=shell) == (0, f"<{own}><lock>", "")  # the second time it is there


@needs_venv
@pytest.mark.parametrize("shell", SHELLS)
def test_python_with_venv_and_no_pip(machine: Machine, shell: str) -> None:
    machine.has("python3", NO_PIP + REAL)
    fetched(machine, shell)


@needs_venv
@pytest.mark.parametrize("setting", ["PIP_USER", "PIP_REQUIRE_VIRTUALENV"])
def test_pip_of_a_python_that_the_system_manages(machine: Machine, tmp_path: Path, setting: str) -> None:
    """Debian, Ubuntu, Fedora and Homebrew; with a setting of pip's that would be in the way."""
    subprocess.run([PYTHON, "-m", "venv", tmp_path / "system"], check=True)
    machine.has("python3", NO_VENV + MANAGED + f'exec {tmp_path / "system"}/bin/python "$@"\n')
    machine.environment[setting] = "1"
    fetched(machine)


@needs_venv
def test_python_with_neither_pip_nor_venv(machine: Machine, tmp_path: Path) -> None:
    machine.has("python3", NO_PIP + NO_VENV + REAL)
    with index_of_pip(tmp_path / "index") as url:
        machine.environment["PIP_INDEX_URL"] = url
        fetched(machine)


@needs_venv
def test_a_pip_that_is_not_what_the_index_names_is_not_run(machine: Machine, tmp_path: Path) -> None:
    machine.has("python3", NO_PIP + NO_VENV + REAL)
    with index_of_pip(tmp_path / "index", digest="0" * 64) as url:
        machine.environment["PIP_INDEX_URL"] = url
        code, _, err = machine.run("lock")
    assert code == 1
    assert machine.left() == []
    assert "could not fetch uv" in err


def test_pipx_only(machine: Machine) -> None:
    """It links the program into its own folder, which is gone afterwards."""
    real = machine.has("uv", UV.replace("VERSION", "99.0"), machine.path.parent / "kept")
    machine.has("pipx", f'mkdir -p "$PIPX_BIN_DIR" && ln -s {shlex.quote(str(real))} "$PIPX_BIN_DIR/uv"\n')
    (machine.path / "ln").symlink_to(shutil.which("ln") or "/bin/ln")
    fetched(machine)
    assert not (machine.checkout / ".uv" / "uv").is_symlink()


@pytest.mark.parametrize("tool", ["curl", "wget"])
def test_no_python_at_all_takes_uvs_own_installer(machine: Machine, tool: str) -> None:
    installer = machine.path.parent / "install.sh"
    program = shlex.quote(UV.replace("VERSION", "99.0"))
    folder = '"$UV_UNMANAGED_INSTALL"'
    installer.write_text(f"mkdir -p {folder} && printf %s {program} >{folder}/uv && chmod +x {folder}/uv\n")
    machine.has(tool, f'for last; do :; done\ncp {shlex.quote(str(installer))} "$last"\n')
    fetched(machine)


def test_two_at_once(machine: Machine) -> None:
    """Both are in the middle of fetching before either goes on; both end well."""
    fifo = machine.path.parent / "both"
    fifo.mkdir()
    program = shlex.quote(UV.replace("VERSION", "99.0"))
    machine.has(
        "python3",
        f'while [ "$1" != --target ]; do shift; done\n: >{fifo}/$$\n'
        f"until [ $(ls {fifo} | grep -c .) = 2 ]; do sleep 0.01; done\n"
        f'mkdir -p "$2/bin" && printf %s {program} >"$2/bin/uv" && chmod +x "$2/bin/uv"\n',
    )
    own = machine.checkout / ".uv" / "uv"
    processes = [machine.start("lock", word) for word in ("one", "two")]
    answers = [process.communicate() for process in processes]
    assert [out for out, _ in answers] == [f"<{own}><lock><{word}>" for word in ("one", "two")]
    assert machine.left() == ["uv"]


# --- nothing works ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("brew", "brew install uv"),
        ("dnf", "sudo dnf install uv"),
        ("apt-get", "sudo apt-get install python3-venv"),
        ("", "see https://docs.astral.sh/uv/"),
    ],
)
def test_where_nothing_works_one_line_says_what_to_install(machine: Machine, manager: str, command: str) -> None:
    if manager:
        machine.has(manager, "exit 1\n")
    machine.has("curl", 'echo "curl: (6) Could not resolve host: astral.sh" >&2; exit 6\n')
    code, out, err = machine.run("run", "pytest")
    assert (code, out) == (1, "")
    (line,) = [line for line in err.splitlines() if "fetching" not in line]
    assert line.startswith("bin/uv: could not fetch uv (curl: (6) Could not resolve host: astral.sh).")
    assert command in line
    assert machine.left() == []


def test_a_checkout_that_cannot_be_written_says_so(machine: Machine) -> None:
    (machine.checkout / ".uv").write_text("a file is in the way")
    code, out, err = machine.run("run", "pytest")
    assert (code, out) == (1, "")
    assert "cannot write to" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "sync"])
def test_no_python_that_fits_says_which_is_needed(machine: Machine, command: str) -> None:
    machine.has("uv", UV.replace("VERSION", "99.0"))
    machine.environment["NO_PYTHON"] = "1"
    code, out, err = machine.run(command, "pytest")
    assert (code, out) == (1, "")
    assert "no Python >=3.11 here" in err
    assert err.count("\n") == 1
    assert machine.run("lock")[0] == 0  # what needs no Python goes on


# --- the README -------------------------------------------------------------------------------------------------------


def test_the_readme_has_two_commands_that_need_no_set_up() -> None:
    """CI types the lines that it finds so: see .ci/readme."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (bin/uv run (?:limner compose \"|pytest).*)$", text, re.MULTILINE)
    assert [re.sub(r'".*"', '"..."', c) for c in commands] == ['bin/uv run limner compose "..."', "bin/uv run pytest"]
    assert re.findall(r"^    (?:uv|python3? -m|pip) .*$", text, re.MULTILINE) == []
