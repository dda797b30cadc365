"""The admin page as an ASGI application: HTTP around `commands.respond`."""

import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from dragoman.admin.access import Access
from dragoman.admin.access_log import AccessLog, Entry
from dragoman.admin.commands import respond
from dragoman.admin.face import Proxy

_HEADERS = {
    "cache-control": "no-cache, max-age=0",
    "x-content-type-options": "nosniff",
    "server": "envoy",
}


def make_app(proxy: Proxy, access: Access, log: AccessLog) -> Starlette:
    """The application that answers for `proxy`."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        started = time.time()
        request = Request(scope, receive)
        target = _target(scope)
        reply = respond(proxy, access, request.method, target)
        headers = {**_HEADERS, "content-type": reply.content_type}
        response = Response(reply.body, reply.status, headers)
        await response(scope, receive, send)
        if log.enabled:
            log.write(_entry(request, target, reply.status, len(response.body), started))

    # One mount: paths are looked up by `respond`, which also knows what to say about others.
    return Starlette(routes=[Mount("/", app=answer)])


def _entry(request: Request, target: str, status: int, sent: int, started: float) -> Entry:
    received = request.headers.get("content-length", "0")
    return Entry(
        started,
        request.method,
        target,
        f"HTTP/{request.scope['http_version']}",
        status,
        int(received) if received.isdigit() else 0,
        sent,
        int((time.time() - started) * 1000),
        request.headers,
    )


def _target(scope: Scope) -> str:
    """Path and query as the client sent them, not decoded."""
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    text: bytes = path + b"?" + query if query else path
    return text.decode("latin-1")
