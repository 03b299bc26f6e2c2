"""Craft that needs no language model: images, libraries, search, arrangement, editing."""
