"""Revision: a wish about an article becomes edits, proposed first."""
