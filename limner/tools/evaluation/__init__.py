"""Exact measures of illustrated articles, without a model, and intervals over articles."""
