"""Revision: an instruction about an article becomes edits, proposed first."""
