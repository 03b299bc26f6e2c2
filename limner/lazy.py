"""A module that is imported when it is first used: for start-up time, and for parts of extras that may be missing."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def lazy(name: str) -> Any:
    """A stand-in for a module; each attribute is that of the module. Its first use may raise ModuleNotFoundError.

    Name the module for type checkers under `if TYPE_CHECKING`, this in the else branch, and the reason beside it.
    """
    return _Lazy(name)


class _Lazy(ModuleType):
    def __getattr__(self, attribute: str) -> Any:
        module = self.__dict__.get("_imported")
        if module is None or sys.modules.get(self.__name__) is not module:  # another one since: in tests
            module = self.__dict__["_imported"] = import_module(self.__name__)
        return getattr(module, attribute)
