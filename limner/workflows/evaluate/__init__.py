"""Evaluate illustrated articles: exact measures, encoders, a judge with a rubric, agreement with authors' figures."""
