"""Models of open_clip, for those who have torch."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import BadInput, NotInstalled
from limner.lazy import lazy
from limner.models.encoders.known import known
from limner.models.encoders.vectors import unit

if TYPE_CHECKING:
    import numpy as np
    import open_clip  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]
    from PIL import Image
else:  # an extra, loaded with the first picture
    np = lazy("numpy")
    open_clip = lazy("open_clip")
    torch = lazy("torch")

_SCHEMES = ("hf-hub:", "local-dir:")


class OpenClip:
    """A CLIP model of open_clip: images and texts in one space. Loaded on first use; safe to use from several threads.

    Source: Radford et al. 2021, arXiv 2103.00020; Ilharco et al., OpenCLIP.
    """

    def __init__(self, model: str, pretrained: str = "", *, threads: int = 0) -> None:
        """model: a name that open_clip knows; pretrained: its tag, a weights file, or "" for random weights.

        Raises NotInstalled without open_clip or torch.
        """
        if importlib.util.find_spec("open_clip") is None:
            raise NotInstalled("CLIP needs open_clip and torch: pip install 'limner[clip]'")
        self.model, self.pretrained, self.threads = model, pretrained, threads
        self._loading = threading.Lock()

    @classmethod
    def of(cls, setting: str, *, threads: int = 0) -> OpenClip:
        """From "ViT-B-32/laion2b_s34b_b79k", "ViT-B-32//weights/file.pt", "hf-hub:timm/ViT-B-16-SigLIP2" or
        "local-dir:FOLDER". Raises BadInput, NotInstalled."""
        if setting.startswith(_SCHEMES) and setting.partition(":")[2].strip("/"):
            return cls(setting, threads=threads)  # such a model brings its weights
        model, slash, pretrained = setting.partition("/")
        if not (model and slash and pretrained):
            raise BadInput(
                f"LIMNER_CLIP_MODEL={setting!r} is no plug-in, no folder, none of {', '.join(known())}, and not "
                "MODEL/WEIGHTS: ViT-B-32/laion2b_s34b_b79k is."
            )
        return cls(model, pretrained, threads=threads)

    @property
    def name(self) -> str:
        """Model and weights; a weights file or a folder without the path to it, so that it can be moved."""
        scheme, _, folder = self.model.partition(":")
        model = f"{scheme}:{Path(folder).name}" if scheme == "local-dir" else self.model
        return f"open_clip {model} {Path(self.pretrained).name}".strip()

    @property
    def size(self) -> int:
        """Length of a vector, from the model's configuration."""
        config = self._tried(open_clip.get_model_config, self.model)
        if config is None:
            raise BadInput(f"open_clip has no model {self.model!r}: `python -m open_clip` lists what it has.")
        return config["embed_dim"]

    def encode_texts(self, texts: Sequence[str], *, batch: int = 32) -> np.ndarray:
        """(n, size) float32, rows of unit length."""
        model, _, tokenize = self._loaded
        return self._rows(texts, batch, lambda some: model.encode_text(tokenize(list(some))))

    def encode_images(self, pictures: Sequence[Image.Image], *, batch: int = 16) -> np.ndarray:
        """(n, size) float32, rows of unit length. pictures: any size, RGB."""
        model, prepare, _ = self._loaded
        return self._rows(pictures, batch, lambda some: model.encode_image(torch.stack([prepare(p) for p in some])))

    def _rows(self, items: Sequence[Any], batch: int, encode: Any) -> np.ndarray:
        with torch.inference_mode():
            parts = [encode(items[n : n + batch]).float().numpy() for n in range(0, len(items), batch)]
        return unit(np.concatenate([np.empty((0, self.size), np.float32), *parts]))

    @property
    def _loaded(self) -> tuple[Any, Any, Any]:
        with self._loading:
            return self._parts

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        if self.threads:
            torch.set_num_threads(self.threads)
        made = self._tried(open_clip.create_model_and_transforms, self.model, pretrained=self.pretrained or None)
        return made[0].eval(), made[2], self._tried(open_clip.get_tokenizer, self.model)

    def _tried(self, make: Callable[..., Any], *given: Any, **more: Any) -> Any:
        """The answer of open_clip. Raises BadInput in one line: a hub, a folder or a name may be wrong."""
        named = f"{self.model}/{self.pretrained}" if self.pretrained else self.model
        try:
            return make(*given, **more)
        except ImportError as error:  # tokenizers of SigLIP and XLM-R are those of transformers
            raise NotInstalled(f"{named} needs {error.name}: pip install 'limner[clip]'") from error
        except (RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
            words = " ".join(str(error).split())[:200]
            raise BadInput(f"open_clip cannot load {named} ({words}): check it.") from error
