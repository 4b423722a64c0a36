"""Typed HTTP calls, and the login that they are made with."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from . import _types as t
from ._backoff import Backoff
from ._decode import decode, encode
from ._operations import Operations
from .errors import MalformedAnswer, NotLoggedIn, ParlorError, Refused, Unreachable
from .tokens import MemoryTokens, Tokens, TokenStore

# The part of its life after which an access token is renewed on an open connection.
RENEW_AFTER = 0.8
ATTEMPTS = 5
PAUSE_BASE = 0.2
PAUSE_CAP = 5.0
# Longest pause between two attempts that a server may ask for.
PAUSE_ASKED = 60.0
_PASSING = frozenset({429, 502, 503, 504})
_ANONYMOUS = frozenset(
    {"/v1/auth/token", "/v1/auth/register", "/v1/auth/refresh", "/v1/auth/setup"}
)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, Any] | None
    headers: Mapping[str, Any]
    body: Any
    content: bytes | None
    timeout: float | None


class Http(Operations):
    """Every operation of the HTTP API.

    Reads, and writes that a repetition does not double, are tried again with jitter when the
    network or the server fails for a moment. An access token that has expired is renewed once for
    all callers. `log_in`, `register` and `set_up` keep the tokens that they bring, `log_out`
    forgets them.
    """

    def __init__(
        self,
        url: str,
        *,
        tokens: TokenStore | None = None,
        timeout: float = 30.0,
        client_name: str = "parlor-python/0.1",
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("the address must be such as http://127.0.0.1:7777")
        self.url = url.rstrip("/")
        self.client_name = client_name
        self._store: TokenStore = tokens if tokens is not None else MemoryTokens()
        self._tokens = self._store.load()
        self._renew_at: float | None = None
        self._renewing = asyncio.Lock()
        self._renewals: set[asyncio.Task[str]] = set()
        self._client = httpx.AsyncClient(
            base_url=self.url,
            timeout=timeout,
            headers={"User-Agent": client_name},
            follow_redirects=False,
        )

    async def __aenter__(self) -> Http:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. A renewal under way is waited for: its token works once."""
        if self._renewals:
            await asyncio.gather(*self._renewals, return_exceptions=True)
        await self._client.aclose()

    async def access_token(self) -> str:
        """Returns the present access token."""
        if self._tokens is None:
            self._tokens = self._store.load()
        if self._tokens is None:
            raise NotLoggedIn("nobody is logged in")
        return self._tokens.access_token

    async def renew(self, stale: str) -> str:
        """Returns an access token other than `stale`, and renews the login when there is none yet.

        However many callers hold the same stale token, it is renewed once. The renewal goes on when
        the caller is cancelled, because a spent refresh token must not be lost.
        """
        task = asyncio.ensure_future(self._renew(stale))
        self._renewals.add(task)
        task.add_done_callback(self._renewed)
        return await asyncio.shield(task)

    def renew_in(self) -> float | None:
        """Returns in how many seconds the token should be renewed, as far as this program knows."""
        return None if self._renew_at is None else max(0.0, self._renew_at - time.monotonic())

    def _renewed(self, task: asyncio.Task[str]) -> None:
        self._renewals.discard(task)
        if not task.cancelled():
            # Whoever asked may be gone, and then nobody else looks at it.
            task.exception()

    async def _renew(self, stale: str) -> str:
        async with self._renewing:
            # Another program with the same store may have renewed it already.
            kept = self._store.load()
            if kept is None:
                raise NotLoggedIn("the login has ended")
            if kept.access_token != stale:
                self._tokens, self._renew_at = kept, None
                return kept.access_token
            if kept.refresh_token is None:
                raise NotLoggedIn("the token has expired and cannot be renewed")
            try:
                pair = await self.refresh(refresh_token=kept.refresh_token)
            except Refused as refused:
                if refused.code != "unauthenticated":
                    raise
                self._keep(None)
                raise NotLoggedIn("the login has ended") from refused
            return pair.access_token

    def _obtained(self, pair: t.TokenResponse) -> None:
        self._keep(Tokens(pair.access_token, pair.refresh_token))
        self._renew_at = time.monotonic() + pair.expires_in * RENEW_AFTER

    def _keep(self, tokens: Tokens | None) -> None:
        self._tokens, self._renew_at = tokens, None
        self._store.save(tokens)

    async def call(
        self,
        method: str,
        path: str,
        answer: Any,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Makes a call that has no method of its own, or needs another timeout.

        `answer` is the type of the answer: one of `types`, `str`, `Any`, or `None`.
        """
        headers = dict(headers or {})
        repeatable = method in ("GET", "PUT") or bool(
            isinstance(body, dict) and body.get("client_id")
        )
        if "Idempotency-Key" in headers and not repeatable:
            # With a key, a repetition is the same write.
            headers["Idempotency-Key"] = headers["Idempotency-Key"] or str(uuid.uuid4())
            repeatable = True
        repeatable = repeatable or path == "/v1/auth/refresh"
        backoff = Backoff(PAUSE_BASE, PAUSE_CAP)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                request = _Request(method, path, query, headers, body, content, timeout)
                response = await self._send(request)
                return self._took(path, _read(response, answer))
            except (Unreachable, Refused) as error:
                passes = isinstance(error, Unreachable) or error.status in _PASSING
                asked = error.retry_after or 0.0
                if not (repeatable and passes) or attempt == ATTEMPTS or asked > PAUSE_ASKED:
                    raise
                await asyncio.sleep(asked + backoff.next())
        raise AssertionError("the last attempt returns or raises")

    async def _call(
        self,
        method: str,
        path: str,
        answer: Any,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
    ) -> Any:
        return await self.call(
            method, path, answer, query=query, headers=headers, body=body, content=content
        )

    async def _send(self, request: _Request) -> httpx.Response:
        """Makes one call, with a fresh token when the present one has expired."""
        token = await self._token_for(request.path)
        response = await self._send_once(request, token)
        if response.status_code == 401 and token is not None and self._can_renew():
            response = await self._send_once(request, await self.renew(token))
        return response

    async def _token_for(self, path: str) -> str | None:
        if path in _ANONYMOUS:
            return None
        try:
            return await self.access_token()
        except NotLoggedIn:
            # Some calls need no login; the server says which.
            return None

    def _took(self, path: str, answer: Any) -> Any:
        """Keeps the login that an answer brings or ends."""
        if isinstance(answer, t.TokenResponse):
            self._obtained(answer)
        elif path == "/v1/auth/logout":
            self._keep(None)
        return answer

    def _can_renew(self) -> bool:
        return self._tokens is not None and self._tokens.refresh_token is not None

    def _build(self, request: _Request, token: str | None) -> httpx.Request:
        headers = {name: str(value) for name, value in request.headers.items() if value is not None}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        body, payload = request.body, request.content
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if value is not None}
        if body is not None:
            payload = json.dumps(encode(body), ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        elif payload is not None:
            headers.setdefault("Content-Type", "application/octet-stream")
        query = (request.query or {}).items()
        params = {name: _query(value) for name, value in query if value is not None}
        timeout = httpx.USE_CLIENT_DEFAULT if request.timeout is None else request.timeout
        return self._client.build_request(
            request.method,
            request.path,
            params=params or None,
            headers=headers,
            content=payload,
            timeout=timeout,
        )

    async def _send_once(self, request: _Request, token: str | None) -> httpx.Response:
        try:
            return await self._client.send(self._build(request, token))
        except httpx.HTTPError as error:
            failure = type(error).__name__
            raise Unreachable(f"{request.method} was not answered: {failure}") from error

    async def _download(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> AsyncIterator[bytes]:
        """Yields the pieces of a download. One that breaks off raises `Unreachable`."""
        token = await self._token_for(path)
        request = _Request(method, path, query, headers or {}, body, None, None)
        for fresh in (False, True):
            try:
                response = await self._client.send(self._build(request, token), stream=True)
                try:
                    if response.status_code == 401 and token and not fresh and self._can_renew():
                        token = await self.renew(token)
                        continue
                    if not response.is_success:
                        await response.aread()
                        _read(response, None)
                    async for piece in response.aiter_bytes():
                        yield piece
                    return
                finally:
                    await response.aclose()
            except httpx.HTTPError as error:
                raise Unreachable(f"the download broke off: {type(error).__name__}") from error


def _query(value: Any) -> Any:
    value = encode(value)
    return ("true" if value else "false") if isinstance(value, bool) else value


def _read(response: httpx.Response, answer: Any) -> Any:
    if not response.is_success:
        raise refusal(response.status_code, response.headers, response.content)
    if answer is None or answer is type(None) or response.status_code == 204:
        return None
    if answer is str:
        return response.text
    try:
        value = json.loads(response.content)
    except ValueError as error:
        raise MalformedAnswer("the answer is not JSON") from error
    return decode(answer, value)


def refusal(status: int, headers: Mapping[str, str], content: bytes) -> ParlorError:
    """Returns what an HTTP error means."""
    after = headers.get("Retry-After", "")
    retry_after = float(after) if after.isdigit() else None
    try:
        problem: t.Problem = decode(t.Problem, json.loads(content))
    except (ValueError, MalformedAnswer):
        if status in _PASSING:
            return Unreachable(f"unexpected HTTP status {status}", retry_after)
        code = {401: "unauthenticated", 403: "forbidden", 404: "not_found"}.get(status, "internal")
        return Refused(
            code, f"unexpected HTTP status {status}", status=status, retry_after=retry_after
        )
    if problem.retry_after_ms is not None:
        retry_after = problem.retry_after_ms / 1000
    return Refused(
        problem.code, problem.detail, status=status, retry_after=retry_after, problem=problem
    )
