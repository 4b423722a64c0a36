"""What can go wrong, by what the caller can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._types import Problem

_PASSING = frozenset({"rate_limited", "unavailable", "provider_unavailable", "internal"})


class ParlorError(Exception):
    """Anything that this library raises by itself."""


class Refused(ParlorError):
    """The server understood and refused. `code` is the stable part."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        problem: Problem | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        """Seconds after which a retry makes sense, where the server said so."""
        self.problem = problem
        """The whole answer of a refused HTTP call, with the fields at fault."""

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed later without a change."""
        return self.code in _PASSING


class NotLoggedIn(ParlorError):
    """Nobody is logged in, or the login has ended."""


class Unreachable(ParlorError):
    """The server, or what stands before it, cannot be reached or did not answer in time."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unanswered(ParlorError):
    """A message was not answered in time. It may have been written.

    Sending it again with the same `client_id` writes it once.
    """

    def __init__(self, client_id: str) -> None:
        super().__init__(f"no answer in time to the message {client_id}")
        self.client_id = client_id


class MalformedAnswer(ParlorError):
    """The answer is not one of a Parlor server of this version."""


class SessionEnded(ParlorError):
    """The WebSocket ended for good: connecting again would not help."""

    def __init__(self, detail: str, code: int | None = None) -> None:
        super().__init__(f"{detail} ({code})" if code is not None else detail)
        self.code = code
        """The close code, 4500 to 4999, when the server closed it."""


class SessionClosed(ParlorError):
    """The client was closed on this side."""
