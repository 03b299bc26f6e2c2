"""Understand a wish in small steps: rules where they are certain, small constrained questions to a model elsewhere."""
