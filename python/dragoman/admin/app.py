"""The admin page as an ASGI application: HTTP around `commands.respond`."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from dragoman.admin.access import Access
from dragoman.admin.commands import respond
from dragoman.admin.face import Proxy

_HEADERS = {
    "cache-control": "no-cache, max-age=0",
    "x-content-type-options": "nosniff",
    "server": "envoy",
}


def make_app(proxy: Proxy, access: Access) -> Starlette:
    """The application that answers for `proxy`."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        reply = respond(proxy, access, request.method, _target(scope))
        response = Response(
            reply.body, reply.status, {**_HEADERS, "content-type": reply.content_type}
        )
        await response(scope, receive, send)

    # One mount: paths are looked up by `respond`, which also knows what to say about others.
    return Starlette(routes=[Mount("/", app=answer)])


def _target(scope: Scope) -> str:
    """Path and query as the client sent them, not decoded."""
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    text: bytes = path + b"?" + query if query else path
    return text.decode("latin-1")
