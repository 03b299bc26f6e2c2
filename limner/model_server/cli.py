"""`limner-model-server`: the model's side from a shell. Errors are one line on stderr and exit code 2."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from limner.model_server.errors import ConversionError, ModelServerError, ServingError, reason

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """Convert InternLM-XComposer checkpoints for today's transformers, and serve them over HTTP."""


@app.command("convert")
def convert_command(
    source: Annotated[str, typer.Argument(help="Folder of a published checkpoint, or a hub id such as ORG/NAME.")],
    destination: Annotated[Path, typer.Argument(help="Folder to write; must not exist.")],
    text_only: Annotated[
        bool, typer.Option("--text-only", help="The language model alone, as a stock LLaMA checkpoint.")
    ] = False,
    dtype: Annotated[
        str, typer.Option(help="float16, bfloat16, float32, or auto for that of the published embeddings.")
    ] = "auto",
) -> None:
    """Convert a published checkpoint to a safetensors folder that transformers and vLLM load."""
    _need("torch", "transformers", "safetensors")
    from limner.model_server.convert import convert

    report = convert(
        local_folder(source),
        destination,
        text_only=text_only,
        dtype=dtype,
        tell=lambda line: typer.echo(line, err=True),
    )
    unread = f", {len(report.unused)} published keys not needed" if report.unused else ""
    tokenizer = "" if report.tokenizer else "; no tokenizer.model was found, so no tokenizer and no processor either"
    typer.echo(
        f"{destination}: {report.architecture}, {report.tensors} tensors, {report.bytes / 1e9:.2f} GB, "
        f"{report.dtype}{unread}{tokenizer}"
    )


@app.command("serve")
def serve_command(
    model: Annotated[Path, typer.Argument(help="Folder of a converted checkpoint.")],
    engine: Annotated[
        str, typer.Option(help="transformers: one answer at a time, anywhere. vllm: batches.")
    ] = "transformers",
    host: Annotated[str, typer.Option(help="Address to listen on. No key is asked for: keep it inside.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    max_concurrent: Annotated[
        int, typer.Option(min=1, max=100_000, help="Concurrent requests, waiting ones included; more get 429.")
    ] = 128,
    max_total_tokens: Annotated[
        int | None, typer.Option(min=2, help="Tokens of prompt and answer; default: the positions, or what fits.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float16; auto is float32 on a CPU.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda; auto takes cuda if available.")] = "auto",
    gpus: Annotated[
        int, typer.Option(min=1, max=64, envvar="LIMNER_GPUS", help="Split the model over so many; engine vllm.")
    ] = 1,
    name: Annotated[str, typer.Option(help="The model's name for clients; by default the folder's.")] = "",
) -> None:
    """Serve a converted checkpoint over TGI's HTTP API and OpenAI's chat completions."""
    if dtype not in ("auto", "float32", "bfloat16", "float16"):
        raise ServingError(f"There is no dtype {dtype!r}: use auto, float32, bfloat16 or float16.")
    _need("torch", "transformers", "safetensors", "fastapi", "uvicorn", "prometheus_client", "llguidance")
    with _listening(host, port) as listener:
        from transformers.utils.logging import disable_progress_bar

        from limner.model_server.service import build_service

        disable_progress_bar()
        service = build_service(
            model, engine=engine, model_id=name, max_concurrent=max_concurrent, max_total_tokens=max_total_tokens,
            dtype=dtype, device=device, gpus=gpus,
        )  # fmt: skip
        _serve(service, listener)


@app.command("plan")
def plan_command(
    model: Annotated[str, typer.Argument(help="Folder of a converted checkpoint, or a published model's name.")],
    gpus: Annotated[int, typer.Option(min=1, max=64, help="GPUs to split the model over.")] = 1,
    memory: Annotated[str, typer.Option(help="Memory of each GPU, e.g. 80GiB or 24GB.")] = "80GiB",
    articles: Annotated[int, typer.Option(min=1, max=100_000, help="Articles to compose at once.")] = 1,
    tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of an article's longest call; by default 4096 at most."),
    ] = None,
) -> None:
    """Say what fits: weights by precision, cache, articles at once."""
    _need("torch", "transformers")
    from limner.model_server.plan import report

    for line in report(model, gpus, memory, articles, tokens):
        typer.echo(line)


@app.command("doctor")
def doctor_command(
    engine: Annotated[str, typer.Option(help="transformers or vllm.")] = "transformers",
    dtype: Annotated[str, typer.Option(help="As for serve; auto is bfloat16 on a GPU, float32 on a CPU.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda; auto takes cuda if available.")] = "auto",
) -> None:
    """Compare what an engine computes on this machine with a reference, on small random models; 1 where it differs."""
    if dtype not in ("auto", "float32", "bfloat16", "float16"):
        raise ServingError(f"There is no dtype {dtype!r}: use auto, float32, bfloat16 or float16.")
    _need("torch", "transformers", "safetensors", "llguidance")
    from transformers.utils.logging import disable_progress_bar

    from limner.model_server.doctor import report

    disable_progress_bar()
    failed = 0
    for line in report(engine, dtype, device):
        typer.echo(str(line))
        failed += line.ok is False
    typer.echo(
        f"{failed} of these failed: please report them all." if failed else "This machine computes as it should."
    )
    raise typer.Exit(1 if failed else 0)


def _serve(service: Any, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM; running answers then have ten seconds."""
    import uvicorn

    from limner.model_server.app import server_config

    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host

    banner = f"{service.model_id} on http://{address}:{port} ({service.engine.name}, {service.engine.device})"

    class Server(uvicorn.Server):
        """Prints the address once the server is reachable."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            typer.echo(banner)

    Server(server_config(service)).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    """A listening socket, opened before the model is loaded, so that a port in use is reported at once."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise ServingError(f"{host} is no address of this machine ({error.strerror}): use --host 127.0.0.1.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ServingError(
            f"Cannot listen on {host}:{port} ({error.strerror}): use another --port or --host."
        ) from None
    return listener


def local_folder(source: str) -> Path:
    """The folder itself, or a hub id's files downloaded into the hub's cache: weights and data, never code."""
    folder = Path(source)
    if folder.is_dir():
        return folder
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise ConversionError(f"No folder {source}: give a folder or a hub id such as internlm/internlm-xcomposer-7b.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["config.json", "tokenizer.model", "*.safetensors", "*.safetensors.index.json"]
    try:
        found = Path(snapshot_download(source, allow_patterns=patterns))
        if not any(found.glob("*.safetensors")):
            found = Path(snapshot_download(source, allow_patterns=[*patterns, "*.bin", "*.bin.index.json"]))
    except HFValidationError:
        raise ConversionError(f"{source!r} is neither a folder nor a hub id: check its spelling.") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ConversionError(
            f"{source} cannot be downloaded ({reason(error)}): get the folder by other means."
        ) from None
    return found


def _need(*packages: str) -> None:
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    if missing:
        raise ModelServerError(f"{', '.join(missing)} missing: pip install {' '.join(missing)}, then run this again.")


def main() -> None:
    """Entry point of `limner-model-server`."""
    try:
        app()
    except ModelServerError as error:
        print(f"limner-model-server: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
