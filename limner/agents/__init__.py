"""Roles that need a model's judgement: writer, spotter, selector, reviser, chat, judge."""
