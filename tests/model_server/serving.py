"""A served tiny checkpoint, over real HTTP on the loopback."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image

from limner.model_server.app import server_config
from limner.model_server.engine import Finished, Token
from limner.model_server.prompts import Prompt, Prompts
from limner.model_server.sampling import Sampling
from limner.model_server.scheduler import OneAtATime
from limner.model_server.service import Service
from limner.model_server.transformers_engine import Transformers, load


class Gated(Transformers):
    """The real engine; while `gate` is set to a semaphore, each token waits for a permit. `begun` counts prompts."""

    gate: threading.Semaphore | None = None
    failure: Exception | None = None
    """Raised in place of the next token, once; and by `check` while `dead`."""
    dead = False

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, tokenizer)
        self.begun: list[int] = []
        self.ended: threading.Semaphore = threading.Semaphore(0)

    def run(self, prompt: Prompt, sampling: Sampling, cancelled: Callable[[], bool]) -> Iterator[Token | Finished]:
        self.begun.append(len(prompt))
        try:
            for event in super().run(prompt, sampling, cancelled):
                while self.gate and not cancelled() and not self.gate.acquire(timeout=0.05):
                    pass
                failure, self.failure = self.failure, None
                if failure:
                    try:
                        raise failure
                    finally:
                        del failure  # see scheduler.py
                yield event
        finally:
            self.ended.release()

    def check(self) -> None:
        if self.dead:
            raise RuntimeError("CUDA error: device-side assert triggered")
        super().check()


def build(folder: Path, max_concurrent: int = 128, **limits: Any) -> tuple[Service, Gated]:
    """A service over a converted checkpoint, and the model in it."""
    model = load(folder)
    positions = model.config.text_config.max_position_embeddings
    prompts = Prompts(folder, limits.pop("max_total_tokens", positions), **limits)
    gated = Gated(model, prompts.tokenizer)
    return Service(OneAtATime(gated), prompts, "tiny", max_concurrent), gated


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """Its address while it is served."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = uvicorn.Server(server_config(service))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def data_url(colour: str = "red", size: tuple[int, int] = (32, 20), form: str = "PNG") -> str:
    """A picture of one colour."""
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


def picture(colour: str = "red") -> dict[str, Any]:
    """The same as a part of a message."""
    return {"type": "image_url", "image_url": {"url": data_url(colour)}}
