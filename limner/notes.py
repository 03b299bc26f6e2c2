"""Sentences for people that programs can read: text with a code and parameters.

A `Note` is a `str`, so anything that shows text can show it; code that decides or translates reads `code` and `params`.
`limner/catalogue.py` has the English sentences of all codes; clients have those of other languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict  # pydantic accepts typing's TypedDict only from Python 3.12 on

from limner.catalogue import ENGLISH

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class Coded(TypedDict):
    """The part of a note for programs."""

    code: str
    """Code of the sentence; "" if there is only text."""
    params: dict[str, Any]
    """Parameters of the sentence: text, numbers, other notes {"code", "params", "text"}, lists of them."""


class Note(str):
    """A sentence, its code and its parameters. Frozen; equal to its text.

    Its JSON is {"code", "params", "text"}, or plain text without a code: words of a person or a model, and older
    records.
    """

    __slots__ = ("_code", "_params")
    _code: str
    _params: dict[str, Any]

    def __new__(cls, text: str, code: str = "", params: Mapping[str, Any] | None = None) -> Note:
        """params: values of JSON, notes, and lists of those."""
        made = super().__new__(cls, text)
        object.__setattr__(made, "_code", code)
        object.__setattr__(made, "_params", dict(params or {}))
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a note is frozen: {name} cannot be set")

    def __reduce__(self) -> tuple[type[Note], tuple[str, str, dict[str, Any]]]:
        return Note, (str(self), self._code, self._params)

    @property
    def code(self) -> str:
        """Code of the sentence in the catalogues, "" for none."""
        return self._code

    @property
    def params(self) -> dict[str, Any]:
        """The parameters; a copy."""
        return dict(self._params)

    @property
    def coded(self) -> Coded:
        """Code and parameters as JSON, to go beside the text."""
        return {"code": self._code, "params": {name: _plain(value) for name, value in self._params.items()}}

    @property
    def json(self) -> str | dict[str, Any]:
        """The whole as JSON."""
        return {**self.coded, "text": str(self)} if self._code else str(self)

    @classmethod
    def read(cls, value: Any) -> Note:
        """Read a note from its JSON, or plain text. Raises ValueError."""
        if isinstance(value, Note):
            return value
        if isinstance(value, str):
            return cls(value)
        match value:
            case {"text": str(text), "code": str(code), "params": dict(params)} if len(value) == 3:
                return cls(text, code, {str(name): _read(one) for name, one in params.items()})
        raise ValueError("a note is text, or an object with code, params and text")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema  # the shell starts without it, but imports the errors

        fields = {
            "code": core_schema.typed_dict_field(core_schema.str_schema()),
            "params": core_schema.typed_dict_field(core_schema.dict_schema(core_schema.str_schema())),
            "text": core_schema.typed_dict_field(core_schema.str_schema()),
        }
        shape = core_schema.union_schema([core_schema.str_schema(), core_schema.typed_dict_schema(fields)])
        return core_schema.no_info_plain_validator_function(
            cls.read,
            json_schema_input_schema=shape,
            serialization=core_schema.plain_serializer_function_ser_schema(_dumped, return_schema=shape),
        )


def note(code: str, **params: Any) -> Note:
    """The English sentence of a code. Raises KeyError for an unknown code or a missing parameter."""
    shown = {name: _listed(value) if isinstance(value, list | tuple) else value for name, value in params.items()}
    return Note(ENGLISH[code].format(**shown), code, params)


def coded(text: str) -> Coded:
    """Code and parameters of a text if it is a note."""
    return text.coded if isinstance(text, Note) else {"code": "", "params": {}}


def with_code(text: str, kept: Coded | None) -> Note:
    """A note from a text and the code and parameters stored beside it."""
    return Note.read({"text": text, **kept}) if kept else Note(text)


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values)


def _dumped(value: str) -> str | dict[str, Any]:
    return value.json if isinstance(value, Note) else value


def _plain(value: Any) -> Any:
    """A parameter as JSON."""
    if isinstance(value, Note):
        return value.json
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return Note.read(value)
    return [_read(one) for one in value] if isinstance(value, list) else value
