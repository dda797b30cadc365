"""An origin in a process of its own, to be killed: `python -m tests.e2e.origin_process PORT`.

Answers `/slow` never, `/half` with half of a body and anything else with `ok`; says `ready` once it
listens.
"""

import sys
import threading

from tests.e2e.wire import OK, Wire, serving


def serve(wire: Wire) -> None:
    while message := wire.message():
        if message.target == "/slow":
            wire.is_ended()
        elif message.target == "/half":
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
            wire.is_ended()
        else:
            wire.send(OK)


def main() -> None:
    with serving(serve, ("127.0.0.1", int(sys.argv[1]))):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
