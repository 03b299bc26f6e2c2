"""Count tokens and money per role and keep the budget."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from limner.agents.prices import Price, free, near
from limner.errors import BadInput, BudgetReached
from limner.notes import note
from limner.text import dollars


@dataclass
class Usage:
    """Tokens of one role. `cached` is the part of `prompt` that the server took from its prefix cache."""

    calls: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    estimated: bool = False
    """True if a server did not count and the figures are partly estimates."""
    cost: float = 0.0
    """US dollars; 0 for models without a known price."""

    @property
    def total(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt + self.completion


@dataclass
class Meter:
    """Counts tokens per role and keeps the budget. Safe to share between threads."""

    budget: int | None = None
    """Limit of prompt and completion tokens together; None means no limit."""
    max_cost: float | None = None
    """Limit in US dollars; None means no limit."""
    roles: dict[str, Usage] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.max_cost is not None and not 0 < self.max_cost < math.inf:  # NaN is neither
            raise BadInput(f"A limit of {self.max_cost} US dollars is none. Give a number above 0, such as 0.50.")

    @property
    def total(self) -> int:
        """Tokens spent so far by all roles."""
        with self._lock:
            return sum(usage.total for usage in self.roles.values())

    @property
    def cost(self) -> float:
        """US dollars spent so far by all roles."""
        with self._lock:
            return sum(usage.cost for usage in self.roles.values())

    def allow(self, prompt: int, completion: int, price: Price | None = free) -> None:
        """Raises BudgetReached if a call of this size could go over the budget.

        price: the model's; None if it is unknown. Raises BadInput if there is a limit of money then.
        """
        if self.budget is not None and self.total + prompt + completion > self.budget:
            needed = prompt + completion
            raise BudgetReached(note("token-budget", budget=self.budget, spent=self.total, needed=needed))
        if self.max_cost is None:
            return
        if price is None or price is near:
            raise BadInput(note("no-price"))
        most = price(prompt, completion, 0)
        if self.cost + most > self.max_cost:
            limit, spent, needed = dollars(self.max_cost), dollars(self.cost), dollars(most)
            raise BudgetReached(note("cost-budget", budget=limit, spent=spent, needed=needed))

    def spent(self) -> dict[str, dict[str, Any]]:
        """The usage of each role, as JSON."""
        with self._lock:
            return {role: asdict(usage) for role, usage in self.roles.items()}

    def spent_since(
        self, before: Mapping[str, Mapping[str, Any]], beside: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """What was spent since `before`, a value of `spent`, added to `beside`."""
        found = {role: dict(usage) for role, usage in beside.items()}
        for role, now in self.spent().items():
            was, known = before.get(role, {}), found.setdefault(role, asdict(Usage()))
            for name, value in now.items():
                known[name] = value or known[name] if name == "estimated" else known[name] + value - was.get(name, 0)
        return found

    def resume(self, spent: Mapping[str, Mapping[str, Any]]) -> None:
        """Begin with what an earlier process spent, unless something is counted already."""
        with self._lock:
            if not self.roles:
                self.roles.update({role: Usage(**usage) for role, usage in spent.items()})

    def count(
        self, role: str, prompt: int, completion: int, cached: int = 0, estimated: bool = False, cost: float = 0.0
    ) -> None:
        """Add one call's tokens and US dollars."""
        with self._lock:
            usage = self.roles.setdefault(role, Usage())
            usage.calls += 1
            usage.prompt += prompt
            usage.completion += completion
            usage.cached += cached
            usage.estimated |= estimated
            usage.cost += cost
