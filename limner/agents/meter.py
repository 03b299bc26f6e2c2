"""Count tokens per role and keep the budget."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from limner.errors import BudgetReached
from limner.notes import note


@dataclass
class Usage:
    """Tokens of one role. `cached` is the part of `prompt` that the server took from its prefix cache."""

    calls: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    estimated: bool = False
    """True if a server did not count and the figures are partly estimates."""

    @property
    def total(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt + self.completion


@dataclass
class Meter:
    """Counts tokens per role and keeps the budget. Safe to share between threads."""

    budget: int | None = None
    """Limit of prompt and completion tokens together; None means no limit."""
    roles: dict[str, Usage] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def total(self) -> int:
        """Tokens spent so far by all roles."""
        return sum(usage.total for usage in self.roles.values())

    def allow(self, prompt: int, completion: int) -> None:
        """Raises BudgetReached if a call of this size could go over the budget."""
        if self.budget is not None and self.total + prompt + completion > self.budget:
            needed = prompt + completion
            raise BudgetReached(note("token-budget", budget=self.budget, spent=self.total, needed=needed))

    def count(self, role: str, prompt: int, completion: int, cached: int = 0, estimated: bool = False) -> None:
        """Add one call's tokens."""
        with self._lock:
            usage = self.roles.setdefault(role, Usage())
            usage.calls += 1
            usage.prompt += prompt
            usage.completion += completion
            usage.cached += cached
            usage.estimated |= estimated
