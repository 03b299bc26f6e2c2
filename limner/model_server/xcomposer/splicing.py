"""Put image rows in place of token embeddings: pure functions for any engine."""

from __future__ import annotations

from torch import Tensor


def expand_placeholders(ids: list[int], image_token_id: int, rows_per_image: int, images: int) -> list[int]:
    """Token ids with each placeholder repeated once per image row.

    Raises ValueError, stating both counts, unless there are as many placeholders as images.
    """
    places = ids.count(image_token_id)
    if places != images:
        raise ValueError(f"{places} image places in the prompt, {images} images: give one image per place.")
    return [i for t in ids for i in ([t] * rows_per_image if t == image_token_id else [t])]


def splice(embeddings: Tensor, image_rows: Tensor, image_mask: Tensor) -> Tensor:
    """Token embeddings with the rows of all images, in reading order, where the mask is true.

    embeddings: (..., D); image_rows: (n_images, rows, D); image_mask: (...) bool. Returns a new tensor like embeddings.
    Raises ValueError, stating both counts, if the mask's number of places differs from the number of rows.
    """
    places, rows = int(image_mask.sum()), image_rows.shape[0] * image_rows.shape[1]
    if places != rows:
        raise ValueError(
            f"{places} positions are kept for images, {rows} rows came from {image_rows.shape[0]} images "
            f"({image_rows.shape[1]} each): let the processor expand the placeholders."
        )
    rows_flat = image_rows.reshape(rows, -1).to(embeddings.device, embeddings.dtype)
    return embeddings.masked_scatter(image_mask.unsqueeze(-1), rows_flat)
