"""Describe a value by a type without checking it: for what another check reads, or what may come from elsewhere."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Unchecked:
    """An annotation: the JSON schema is that of the type; any value is taken, and sent as it is.

    pydantic's SkipValidation warns when it sends a value of another type; this does not.
    """

    described: CoreSchema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        self.described = handler(source)
        # pydantic forgets the models that no schema leads to, so the serializer leads to them.
        as_it_is = core_schema.wrap_serializer_function_ser_schema(lambda value, _: value, schema=self.described)
        return core_schema.any_schema(serialization=as_it_is)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(self.described)
