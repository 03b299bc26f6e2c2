"""Edits of an article: the commands, their application, the comparison of versions."""
