"""A gRPC server of bytes. Must not know of tests."""

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc

MIB = 1 << 20
OPTIONS = [("grpc.max_receive_message_length", 32 * MIB), ("grpc.use_local_subchannel_pool", 1)]
Context = grpc.ServicerContext


class Service(grpc.GenericRpcHandler):
    """Bytes in, bytes out; `/ANY.Service/NAME` is the method of that name here."""

    def __init__(self) -> None:
        #: a call was given up
        self.cancelled = threading.Event()
        #: calls of `flaky` so far
        self.tried = 0

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        match details.method.rpartition("/")[2]:
            case "echo":
                return grpc.unary_unary_rpc_method_handler(self.echo)
            case "fail":
                return grpc.unary_unary_rpc_method_handler(self.fail)
            case "flaky":
                return grpc.unary_unary_rpc_method_handler(self.flaky)
            case "hang":
                return grpc.unary_unary_rpc_method_handler(self.hang)
            case "count":
                return grpc.unary_stream_rpc_method_handler(self.count)
            case "sum":
                return grpc.stream_unary_rpc_method_handler(self.sum)
            case "chat":
                return grpc.stream_stream_rpc_method_handler(self.chat)
        return None

    def echo(self, message: bytes, context: Context) -> bytes:
        sent = dict(context.invocation_metadata())
        context.send_initial_metadata((("seen", str(sent.get("asked", ""))),))
        context.set_trailing_metadata((("raw-bin", sent.get("raw-bin", b"")),))
        return message

    def fail(self, message: bytes, context: Context) -> bytes:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not tödäy: 100%")

    def flaky(self, message: bytes, context: Context) -> bytes:
        """Works at the third try."""
        self.tried += 1
        if self.tried < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return message

    def hang(self, message: bytes, context: Context) -> bytes:
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(30)
        return b""

    def count(self, message: bytes, context: Context) -> Iterator[bytes]:
        for number in range(int(message)):
            yield b"%d" % number

    def sum(self, messages: Iterator[bytes], context: Context) -> bytes:
        return b"%d" % sum(int(message) for message in messages)

    def chat(self, messages: Iterator[bytes], context: Context) -> Iterator[bytes]:
        for message in messages:
            yield message.upper()


@contextmanager
def serving_grpc(*options: tuple[str, int]) -> Iterator[tuple[int, Service]]:
    """`options`: of the server, besides the usual ones."""
    service = Service()
    server = grpc.server(futures.ThreadPoolExecutor(32), options=[*OPTIONS, *options])
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port, service
    finally:
        server.stop(None).wait(10)
