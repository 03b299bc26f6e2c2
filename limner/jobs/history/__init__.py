"""The versions of a job's article: edits, undo, comparison, proposals."""
