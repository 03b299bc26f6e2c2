"""Requests made up from TGI's published description of itself: none breaks the server, every answer has its shape."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="the model server has an environment of its own")
schemathesis = pytest.importorskip("schemathesis", reason="of the group dev")

from hypothesis import HealthCheck, given, settings  # noqa: E402

pytestmark = pytest.mark.torch

NUMBER = {"type": "integer", "minimum": 1, "maximum": 4, "nullable": True}
GENERATE = {
    "type": "object",
    "required": ["inputs"],
    "additionalProperties": False,
    "properties": {
        "inputs": {"type": "string", "minLength": 1, "maxLength": 50},
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "required": ["max_new_tokens"],
            "properties": {
                "max_new_tokens": {"type": "integer", "minimum": 1, "maximum": 4},
                "best_of": NUMBER,
                "decoder_input_details": {"type": "boolean"},
                "details": {"type": "boolean"},
                "do_sample": {"type": "boolean"},
                "repetition_penalty": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "nullable": True},
                "return_full_text": {"type": "boolean", "nullable": True},
                "seed": {"type": "integer", "minimum": 0, "nullable": True},
                "stop": {"type": "array", "items": {"type": "string"}, "maxItems": 4},
                "temperature": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "nullable": True},
                "top_k": {"type": "integer", "minimum": 0, "nullable": True},
                "top_n_tokens": {"type": "integer", "minimum": 0, "nullable": True},
                "top_p": {"type": "number", "minimum": 0, "maximum": 1, "nullable": True},
                "truncate": {"type": "integer", "minimum": 0, "nullable": True},
            },
        },
    },
}
TOKEN = {
    "type": "object",
    "required": ["id", "text", "logprob", "special"],
    "properties": {
        "id": {"type": "integer"},
        "text": {"type": "string"},
        "logprob": {"type": "number", "nullable": True},
        "special": {"type": "boolean"},
    },
}
GENERATED = {
    "type": "object",
    "required": ["generated_text"],
    "properties": {
        "generated_text": {"type": "string"},
        "details": {
            "type": "object",
            "nullable": True,
            "required": ["finish_reason", "generated_tokens", "prefill", "tokens"],
            "properties": {
                "finish_reason": {"type": "string", "enum": ["length", "eos_token", "stop_sequence"]},
                "generated_tokens": {"type": "integer", "minimum": 0},
                "seed": {"type": "integer", "minimum": 0, "nullable": True},
                "tokens": {"type": "array", "items": TOKEN},
            },
        },
    },
}
PLACE = {"type": "integer", "minimum": 0}
TOKENIZED = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "text", "start", "stop"],
        "properties": {"id": PLACE, "text": {"type": "string"}, "start": PLACE, "stop": PLACE},
    },
}
INFO = {"type": "object", "required": ["model_id", "max_concurrent_requests", "max_input_tokens", "version"]}
ERROR = {
    "type": "object",
    "required": ["error", "error_type"],
    "properties": {"error": {"type": "string"}, "error_type": {"type": "string"}},
}


def answers(schema: dict[str, Any], *errors: int) -> dict[str, Any]:
    found = {str(status): ERROR for status in errors} | {"200": schema}
    return {s: {"description": s, "content": {"application/json": {"schema": body}}} for s, body in found.items()}


def posted(body: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": body}}
    return {
        "post": {"requestBody": {"required": True, "content": content}, "responses": answers(schema, 422, 424, 429)}
    }


INPUTS = {"type": "object", "required": ["inputs"], "properties": {"inputs": {"type": "string", "maxLength": 50}}}
TGI = {  # facts of docs/openapi.json, TGI 3.3.6-dev0, for what is served here
    "openapi": "3.0.3",
    "info": {"title": "Text Generation Inference", "version": "3.3.6-dev0"},
    "paths": {
        "/generate": posted(GENERATE, GENERATED),
        "/": posted(GENERATE, {"type": "array", "items": GENERATED}),
        "/tokenize": posted(INPUTS, TOKENIZED),
        "/info": {"get": {"responses": answers(INFO)}},
    },
}


@pytest.fixture
def described(served: str) -> Any:
    found = schemathesis.openapi.from_dict(TGI)
    found.config.update(base_url=served)
    return found


def test_any_request_of_tgis_description(described: Any) -> None:
    """Answered in TGI's shape or refused with 422; never a 5xx."""
    for found in described.get_all_operations():

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=found.ok().as_strategy())
        def ask(case: Any) -> None:
            answer = case.call(timeout=60)
            assert answer.status_code < 500
            case.operation.validate_response(answer)

        ask()
