"""Pauses between attempts: full jitter under a bound that doubles."""

from __future__ import annotations

import random


class Backoff:
    """Draws pauses. Many clients that lost the same server come back spread over time."""

    def __init__(self, base: float, cap: float) -> None:
        self._base = base
        self._cap = cap
        self._failures = 0

    def next(self) -> float:
        """Returns the next pause in seconds, anything from 0 to the bound."""
        bound = min(self._cap, self._base * 2 ** min(self._failures, 20))
        self._failures += 1
        return random.uniform(0, bound)  # noqa: S311 - spreads clients, guards nothing

    @property
    def fresh(self) -> bool:
        """Whether there was no failure since the beginning."""
        return self._failures == 0

    def reset(self) -> None:
        """Starts from the first bound again."""
        self._failures = 0
