"""Connect each role to its chat model."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from limner.agents.meter import Meter
from limner.agents.prices import Price, price_of
from limner.agents.reranker import Reranker, faults
from limner.agents.speaker import Role, Speaker
from limner.errors import BadInput
from limner.settings import Settings
from limner.text import without_password

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

log = logging.getLogger("limner.models")

CONNECT = 10  # seconds for a server to accept a connection; the settings' timeout is for its answers


def speaker_for(model: BaseChatModel, role: Role, meter: Meter, where: str = "") -> Speaker:
    """A speaker for any LangChain chat model; those of OpenAI's API get JSON schemas."""
    # By name, because an isinstance check would load OpenAI's client for all other makers' models.
    of_openai = any(kind.__name__ == "BaseChatOpenAI" for kind in type(model).__mro__)
    name = str(getattr(model, "model_name", None) or getattr(model, "model", None) or model._llm_type)
    return Speaker(model, role, meter, name=name, where=where, json_schema=of_openai)


def connect(url: str, name: str, role: Role, meter: Meter, settings: Settings) -> Speaker:
    """A speaker for a server with the OpenAI Messages API. Without a name it uses the server's first model.

    Raises ModelUnreachable, ModelRefused, BadInput for something that is not an http address.
    """
    if not url.startswith(("http://", "https://")):
        raise BadInput(
            f"The model server's address {url!r} is not an http address. Write e.g. http://localhost:8000/v1."
        )
    model: Any = _chat_model(url, name or "default", settings.api_key, settings)
    speaker = speaker_for(model, role, meter, where=without_password(url))
    speaker.url = url
    if not name:
        speaker.take_first_model(url, settings.api_key.get_secret_value())
        speaker.model = model.model_copy(update={"model_name": speaker.name})
    speaker.price = _price(speaker.name, url, meter, settings)
    return speaker


def connect_reranker(meter: Meter, settings: Settings) -> Reranker:
    """The reranker of the settings. Without a name it uses its server's first model.

    A failed call is repeated once at most. Raises ModelUnreachable, ModelRefused, BadInput for something that is not an
    http address.
    """
    import openai

    url, key = settings.reranker_url, settings.api_key.get_secret_value()
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"LIMNER_RERANKER_URL {url!r} is not an http address. Write e.g. http://localhost:8001/v1.")
    clients = {"http_client": _plain_clients()["http_client"]} if url.startswith("http://") else {}
    client = openai.OpenAI(
        base_url=url,
        api_key=key or "none",
        timeout=openai.Timeout(settings.timeout, connect=min(CONNECT, settings.timeout)),
        max_retries=min(1, settings.retries),
        **clients,
    )
    where = without_password(url)
    name = settings.reranker_model
    if not name:
        with faults(where).translated():
            listed = client.models.list().data
            name = listed[0].id if listed else ""
            if not isinstance(name, str) or not name:
                raise ValueError("its list of models names none")
    price = _price(name, url, meter, settings)
    return Reranker(client, name, where, meter, price, least=settings.reranker_least)


def _price(name: str, url: str, meter: Meter, settings: Settings) -> Price | None:
    """The model's price. Raises BadInput for an unreadable prices.toml, if money is limited."""
    try:
        return price_of(name, url, settings.home)
    except BadInput as e:
        if meter.max_cost is not None:
            raise
        log.warning("%s", e)
        return None


def handed(model: BaseChatModel, role: Role, meter: Meter, settings: Settings) -> Speaker:
    """A speaker for a chat model that the caller made, with its price if it says where its server is."""
    speaker = speaker_for(model, role, meter)
    url = str(getattr(getattr(model, "root_client", None), "base_url", "") or "")  # OpenAI's client, if it has one
    speaker.price = _price(speaker.name, url, meter, settings)
    return speaker


def _chat_model(url: str, name: str, key: SecretStr, settings: Settings) -> BaseChatModel:
    # BaseChatOpenAI sends max_tokens, which every server knows; ChatOpenAI renames it to a field that only OpenAI
    # needs.
    from langchain_openai import ChatOpenAI
    from langchain_openai.chat_models.base import BaseChatOpenAI

    kind = ChatOpenAI if "//api.openai.com" in url else BaseChatOpenAI
    clients = _plain_clients() if url.startswith("http://") else {}
    return kind(
        base_url=url,
        model=name,
        api_key=key if key.get_secret_value() else SecretStr("none"),
        # Connect, read, write, pool: a tuple, because the client library shares connections per hashable timeout.
        timeout=(min(CONNECT, settings.timeout), settings.timeout, settings.timeout, settings.timeout),
        max_retries=settings.retries,  # the openai client backs off and honours Retry-After
        stream_usage=True,
        **clients,
    )


@cache
def _plain_clients() -> dict[str, Any]:
    """Transports for addresses without TLS: reading the certificate authorities twice takes 0.1 s of processor time.

    They trust no authority, so a redirect to an https address is refused.
    """
    import ssl

    import openai

    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return {
        "http_client": openai.DefaultHttpxClient(verify=nobody),
        "http_async_client": openai.DefaultAsyncHttpxClient(verify=nobody),
    }
