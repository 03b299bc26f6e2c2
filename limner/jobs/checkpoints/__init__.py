"""The graphs' checkpoints, refused to a worker that lost its lease."""
