"""Image processor and processor: from images and a prompt to tensors for the model."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import make_flat_list_of_images
from transformers.processing_utils import MultiModalData, ProcessorMixin

from limner.model_server.xcomposer.images import MEAN, STD, as_rgb, pixels

IMAGE_TOKEN = "<ImageHere>"


class XComposerImageProcessor(PilBackend):
    """Converts PIL images and uint8 arrays, but no addresses, to `pixel_values`, (n_images, 3, side, side) float32."""

    size = {"height": 224, "width": 224}  # noqa: RUF012
    image_mean = list(MEAN)  # noqa: RUF012
    image_std = list(STD)  # noqa: RUF012
    resample = Image.Resampling.BICUBIC
    do_convert_rgb = True
    do_resize = True
    do_rescale = True
    do_normalize = True
    model_input_names = ["pixel_values"]  # noqa: RUF012

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Refuse paths and URLs, which the stock class would open; callers open untrusted files themselves."""
        images = image_url_or_urls
        for image in images if isinstance(images, (list, tuple)) else [images]:
            if isinstance(image, (list, tuple)):
                self.fetch_images(image)
            elif isinstance(image, (str, bytes)):
                raise ValueError("An image must be a PIL image or a uint8 array, not text or bytes: open it first.")
        return images

    def process_image(self, image: Any, **kwargs: Any) -> Image.Image:  # type: ignore[override]
        """Any accepted image as RGB."""
        return as_rgb(image)

    def _preprocess(self, images: list[Image.Image], **kwargs: Any) -> BatchFeature:  # type: ignore[override]
        size, mean, std = kwargs["size"], kwargs["image_mean"], kwargs["image_std"]
        if size.height is None or size.height != size.width:
            raise ValueError(f"The model sees squares; size must give one height and the same width, not {size}.")
        values = [pixels(image, size.height, mean, std) for image in images]
        return BatchFeature({"pixel_values": np.stack(values)}, tensor_type=kwargs.get("return_tensors"))


class XComposerProcessor(ProcessorMixin):
    """Converts prompts and images to model inputs; `apply_chat_template` renders messages.

    A prompt contains `<ImageHere>` at each image's place; the pieces around it are tokenised separately, as published.
    Images form a flat list in reading order over the whole batch. Prompts are padded on the left. Raises ValueError,
    stating both counts, if places and images differ.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        rows_per_image: int = 66,
        **kwargs: Any,
    ) -> None:
        """rows_per_image: positions per image (`config.rows_per_image`)."""
        self.rows_per_image = rows_per_image
        self.image_token = IMAGE_TOKEN
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def replace_image_token(self, image_inputs: dict, image_idx: int, **kwargs: Any) -> str:
        """The text that a placeholder is expanded to."""
        return self.image_token * self.rows_per_image

    def _process_images(self, images: Any, **kwargs: Any) -> tuple[BatchFeature, list[str]]:
        # The stock method would open strings before the image processor can refuse them.
        flat = make_flat_list_of_images(self.image_processor.fetch_images(images))
        return super()._process_images(flat, **kwargs)

    def _get_num_multimodal_tokens(self, image_sizes: list | None = None, **kwargs: Any) -> MultiModalData:
        if image_sizes is None:
            return MultiModalData()
        return MultiModalData(
            num_image_tokens=[self.rows_per_image] * len(image_sizes), num_image_patches=[1] * len(image_sizes)
        )
