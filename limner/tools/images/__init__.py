"""Image files: opened within limits, converted to RGB, prepared for prompts and publication."""
