"""Required by Triton's discovery of backends; the interpreter never asks it for anything."""

from typing import Any

from triton.backends.compiler import BaseBackend, GPUTarget


class Interpreter(BaseBackend):
    @staticmethod
    def supports_target(target: GPUTarget) -> bool:
        return target.backend == "cpu"

    def hash(self) -> str:
        return "interpreter"

    def parse_options(self, options: dict) -> object:
        return options

    def add_stages(self, stages: dict, options: object) -> None:
        raise NotImplementedError("Set TRITON_INTERPRET=1.")

    def load_dialects(self, context: Any) -> None:
        raise NotImplementedError("Set TRITON_INTERPRET=1.")

    def get_module_map(self) -> dict:
        return {}
