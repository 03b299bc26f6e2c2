"""limner setup: get a model that sees."""

from __future__ import annotations

from typing import Annotated

import typer

from limner.errors import BadInput
from limner.models import language, machine, servers
from limner.models.known import is_there
from limner.models.language import LanguageModel
from limner.models.machine import Machine
from limner.settings import Settings, overruling
from limner.surfaces.cli import model_reports as reports
from limner.surfaces.cli.doctor import report
from limner.surfaces.cli.options import read_settings
from limner.surfaces.cli.terminal import Terminal
from limner.text import printable
from limner.workflows.embedded import speed

_UNUSED = "which the installed llama.cpp does not use; a server that does (Ollama, llama-server, vLLM) is much faster"


def register(app: typer.Typer) -> None:
    """Add this command to limner's."""
    app.command()(setup)


def setup(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the first offer, without a question.")] = False,
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="This one: a name of `limner model list`, hf:OWNER/REPOSITORY, a GGUF.")
    ] = "",
) -> None:
    """Get a model that sees: find one that runs here, or download one, and test it."""
    settings, terminal = read_settings({}), Terminal()
    if set_now := overruling():
        line = f"{' and '.join(set_now)} would overrule what setup chooses: unset it first."
        if yes:
            raise BadInput(line)
        print(line)
    found = machine.look(settings.home)
    for line in _machine(found):
        print(line)
    if model.lower().endswith(".gguf") and not language.is_spec(model):
        for line in reports.use(model):
            print(line)
    elif model or not _offered(yes):
        _downloaded(reports.look_up(model) if model else language.propose(found), model, found, yes, terminal)
    print()
    report(Settings())


def _machine(found: Machine) -> list[str]:
    memory = f"{found.memory / 1e9:.1f} GB of memory ({found.available / 1e9:.1f} free)" if found.memory else ""
    parts = [memory, f"{found.cores} cores", f"{found.free / 1e9:.0f} GB free on the disk"]
    lines = [f"This machine: {', '.join(filter(None, parts))}."]
    for gpu in found.engine_gpus or found.gpus:
        size = f" with {gpu.memory / 1e9:.0f} GB" if gpu.memory else ""
        can = "which llama.cpp uses" if found.engine_gpus else _UNUSED
        lines.append(f"Graphics card: {gpu.name}{size}, {can}.")
    return lines


def _offered(yes: bool) -> bool:
    """Offer the model servers that run here; returns whether one was taken. Nothing is downloaded for it."""
    found = servers.look()
    for server in found:
        first = server.models[0]
        sees = "which says that it sees" if first in server.seeing else "which does not say whether it sees"
        more = f", and {len(server.models) - 1} more" if len(server.models) > 1 else ""
        print(f"{server.kind} answers at {server.url} with {first}, {sees}{more}.")
        if yes and not server.seeing:
            print(f"--yes passes it by. To use it: limner model use {first} --url {server.url}")
            continue
        print(f"Texts and pictures of your articles would go to {server.url}.")
        answer = "y" if yes else _ask("Use it? [Y/n, or the name of another of its models] ", "y")
        if answer.lower() in ("y", "yes") or answer in server.models:
            name = answer if answer in server.models else first
            for line in reports.use(name, server.url):
                print(line)
            return True
        if answer.lower() not in ("n", "no"):
            raise BadInput(f"{server.url} has no {answer[:80]!r}. It has {', '.join(server.models)[:400]}.")
    if not found:
        print("No model server answers on this machine (Ollama, llama-server, LM Studio, vLLM).")
    return False


def _downloaded(model: LanguageModel, spec: str, found: Machine, yes: bool, terminal: Terminal) -> None:
    """Propose a model, download it, and choose it."""
    settings = Settings()
    here = not model.files or is_there(model, settings.home)
    if model.files:
        for line in _proposal(model, found, here):
            print(line)
    if not here and not yes and _ask("Download it? [Y/n] ", "y").lower() not in ("y", "yes"):
        raise BadInput("Nothing was downloaded. See limner model list for others, or set LIMNER_MODEL_URL.")
    reports.get(model, terminal)
    for line in reports.use(spec or model.name):
        print(line)


def _proposal(model: LanguageModel, found: Machine, here: bool) -> list[str]:
    size = "it is here already" if here else f"a download of {model.bytes / 1e9:.2f} GB"
    known = f", languages: {model.languages}" if model.languages else ""
    lines = [f"Proposed: {model.name} ({model.about}), {size}, licence {model.licence}{known}."]
    if not found.engine_gpus and (pace := speed.expected(model.bytes)):
        lines.append(f"Expected on this processor: it {pace}; a picture is some 260 tokens to read.")
    return lines


def _ask(question: str, default: str) -> str:
    """The answer of the person at the terminal. Raises BadInput where nobody can answer."""
    try:
        return printable(input(question)).strip() or default
    except EOFError:
        raise BadInput("Nobody answers here. Run limner setup --yes to take the first offer.") from None
