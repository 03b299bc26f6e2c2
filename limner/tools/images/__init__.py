"""Picture files: opened within bounds, seen as RGB, prepared for prompts and publication."""
