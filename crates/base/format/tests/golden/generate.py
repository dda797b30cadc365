"""Writes golden.jsonl: what a real Envoy logs for the formats below.

Usage: ENVOY=/path/to/envoy python generate.py > golden.jsonl

Each record has a scenario (the request that was sent), a text or JSON format, and the line,
whose bytes are written as Latin-1 characters. The record `values` holds what a test can't know:
times, ports, ids.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

PORT, ORIGIN, DEAD = 21900, 21901, 21902
TYPE = "type.googleapis.com/envoy.extensions."
HEAD = b"content-length: 5\r\nx-origin: y\r\ncontent-type: text/plain"
ANSWER = b"HTTP/1.1 200 OK\r\n" + HEAD + b"\r\n\r\nworld"

REQUESTS = {
    "upstream": b"GET /main/p?a=1%202&b=x+y&%62c=&d=%zz%4&a=3 HTTP/1.1\r\nHost: Example.com:80\r\n"
    b'x-a: "q\\uo\xc3\xa9\xff\ttab\r\nx-b: caf\xc3\xa9 \xe2\x80\xa8/<>&\'"\\\tx\r\nx-d: 1\r\n'
    b"x-d: 2\r\nx-empty:\r\nx-surrogate: \xed\xa0\x80 \xf0\x9f\x98\x80\r\n\r\n",
    "direct": b"POST /direct?x HTTP/1.1\r\nHost: h\r\ncontent-length: 3\r\n\r\nabc",
    "dead": b"GET /dead HTTP/1.1\r\nhost: h\r\ncontent-type: application/grpc+proto\r\n\r\n",
    "gone": b"POST /main HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nabc",
    "garbage": b"garbage\r\n\r\n",
}

OPERATORS = """
START_TIME START_TIME(%s.%3f) START_TIME(%Y/%m/%dT%H:%M:%S%z_%s) START_TIME(%s%3f%6f%9f%s%s)
START_TIME(%f.%1f.%2f.%4f.%5f.%7f.%8f.%E3f.%E9f.%E0f) START_TIME(%t%%%Q%E) START_TIME(a)b)
START_TIME(%a.%A.%b.%B.%c.%C.%d.%D.%e.%F.%g.%G.%h.%H.%I.%j.%k.%l.%m.%M)
START_TIME(%p.%P.%r.%R.%S.%T.%u.%U.%V.%w.%W.%x.%X.%y.%Y.%z.%Z)
START_TIME(%E3S.%E*S.%E*f.%Ez.%E*z.%ET.%E4Y.%Ey.%EC.%Od.%Q.%q.%i.%o.%v.%J) START_TIME_LOCAL
EMIT_TIME(%Y-%m-%d) EMIT_TIME_LOCAL(%F%z) DURATION COMMON_DURATION(DS_RX_BEG:DS_RX_END)
COMMON_DURATION(DS_RX_BEG:DS_RX_END:ms) COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)
COMMON_DURATION(DS_CX_BEG:DS_TX_END:ns) COMMON_DURATION(DS_HS_BEG:DS_HS_END:ns)
COMMON_DURATION(US_CX_BEG:US_CX_END:us) COMMON_DURATION(US_CX_BEG:US_HS_END:us)
COMMON_DURATION(US_TX_BEG:US_TX_END:us) COMMON_DURATION(US_RX_BEG:US_RX_END:us)
COMMON_DURATION(DS_TX_BEG:DS_TX_END:ns) COMMON_DURATION(DS_TX_END:DS_RX_BEG:us)
COMMON_DURATION(A:B:us) REQUEST_DURATION REQUEST_TX_DURATION RESPONSE_DURATION
RESPONSE_TX_DURATION ROUNDTRIP_DURATION DOWNSTREAM_HANDSHAKE_DURATION BYTES_RECEIVED BYTES_SENT
BYTES_RETRANSMITTED PACKETS_RETRANSMITTED RESPONSE_TRAILERS_BYTES UPSTREAM_WIRE_BYTES_SENT
UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HEADER_BYTES_RECEIVED
UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED
DOWNSTREAM_WIRE_BYTES_SENT DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT
DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT
DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED RESPONSE_CODE RESPONSE_CODE_DETAILS
RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES) CONNECTION_TERMINATION_DETAILS RESPONSE_FLAGS
RESPONSE_FLAGS_LONG GRPC_STATUS GRPC_STATUS(CAMEL_STRING) GRPC_STATUS(SNAKE_STRING)
GRPC_STATUS(NUMBER) GRPC_STATUS_NUMBER PROTOCOL UPSTREAM_PROTOCOL UPSTREAM_REQUEST_ATTEMPT_COUNT
LOCAL_REPLY_BODY CUSTOM_FLAGS UPSTREAM_TRANSPORT_FAILURE_REASON
DOWNSTREAM_TRANSPORT_FAILURE_REASON ROUTE_NAME UPSTREAM_HOST UPSTREAM_HOST_NAME
UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW FILTER_CHAIN_NAME
LISTENER_NAME UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_LOCAL_PORT
UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_PORT
DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT
DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8) DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(0)
DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(33) DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(x)
DOWNSTREAM_REMOTE_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS
DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT
DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_PORT
DOWNSTREAM_DIRECT_LOCAL_ADDRESS DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT
DOWNSTREAM_DIRECT_LOCAL_PORT UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID
DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID CONNECTION_ID UPSTREAM_CONNECTION_ID STREAM_ID REQ(X-A)
REQ(x-a?:path) REQ(x-none?:path):3 REQ(:path):3 REQ(:path):0 REQ(?:path) REQ(:path?) REQ(host)
REQ(x-d) REQ(x-empty) REQUEST_HEADER(:path) RESP(x-origin) RESP(:status) RESPONSE_HEADER(x-none)
TRAILER(x) RESPONSE_TRAILER(x) PATH PATH(WQ) PATH(NQ) PATH(NQ):3 PATH(WQ:ORIG) PATH(NQ:PATH)
PATH(NQ:ORIG_OR_PATH) QUERY_PARAM(a) QUERY_PARAM(b):2 QUERY_PARAM(bc) QUERY_PARAM(d)
QUERY_PARAM(zz) QUERY_PARAMS QUERY_PARAMS(ORIG) REQUESTED_SERVER_NAME
REQUESTED_SERVER_NAME(SNI_FIRST) REQUESTED_SERVER_NAME(HOST_FIRST:ORIG) METADATA(DYNAMIC:a)
DYNAMIC_METADATA(a) FILTER_STATE(a) FILTER_STATE(a:PLAIN) UPSTREAM_FILTER_STATE(a)
ENVIRONMENT(ODD) ENVIRONMENT(NOPE) ENVIRONMENT(PLAIN):2 TRACE_ID SPAN_ID ACCESS_LOG_TYPE
DOWNSTREAM_LOCAL_IP_SAN DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_CERT_V_START
DOWNSTREAM_PEER_CERT_V_START(%Y) DOWNSTREAM_TLS_VERSION UPSTREAM_TLS_CIPHER TLS_JA3_FINGERPRINT
UPSTREAM_PEER_SUBJECT UPSTREAM_SERVER_NAME DOWNSTREAM_PEER_FINGERPRINT_256
COALESCE({"operators":[{"command":"REQ","param":"x-empty"},"PROTOCOL"]})
COALESCE({"operators":[{"command":"REQ","param":"x-none"}]})
COALESCE({"operators":["ROUTE_NAME","PROTOCOL"]})
COALESCE({"operators":["RESPONSE_CODE"],"x":1}):1
COALESCE({"operators":[{"command":"REQ","param":":path","max_length":3,"zz":1}]})
""".split()  # noqa: SIM905 (as a list it would be three times as long)

# Formats of more than one operator, and of JSON's own values.
TEXTS = [
    "%REQ(x-none)%|%REQ(x-a)%|%ENVIRONMENT(NOPE)%|%RESPONSE_FLAGS%|%%|100%%\n",
    "a%%b%REQ(:path):2%%%%PROTOCOL%",
]
STRUCTS: list[dict[str, Any]] = [
    {"b": "%REQ(x-a)%", "c": "%REQ(x-b)%", "d": "%REQ(x-surrogate)%", "B": 1, "10": "a", "9": "b"},
    {"n": 1.5, "big": 1e21, "i": 12345678901234567890, "neg": -3, "z": 0.1, "nz": -0.0, "k": 1e5},
    {"e10": 1e10, "e17": 1e17, "e15": 123456789012345680.0, "small": 1e-7, "tiny": 0.00012},
    {
        "t": 'plain "q" \n\b\f\r\t\\ é \u2028 <>/\u007f \u0001',
        'ke"yé': "1",
        "env": "%ENVIRONMENT(ODD)%",
    },
    {"l": ["%RESPONSE_CODE%", 2, {"x": "%REQ(x-none)%"}, ["%REQ(x-none)%"], "%REQ(x-none)%", None]},
    {"s": {"q": "%REQ(x-none)%"}, "em": {}, "el": [], "e": "", "t": True, "f": False, "n": None},
    {
        "m": "a%REQ(x-none)%b%RESPONSE_CODE%",
        "mm": "%REQ(x-none)%%REQ(x-none)%",
        "pc": "%%",
        "p": "%%x",
    },
    {
        "q": '"%REQ(x-a)%"',
        "r": " %REQ(x-b)%",
        "u": "é%REQ(x-surrogate)%",
        "code": " %RESPONSE_CODE%",
    },
    {"tr": "%REQ(:path):2%", "env": "%ENVIRONMENT(NOPE)%", "envm": "x%ENVIRONMENT(NOPE)%"},
    {"a": {"b": {"c": "%REQ(x-none)%"}}, "l": ["%REQ(x-none)%"]},
    {"a": "%REQ(x-none)%"},
    {},
]

# What the test builds its facts from.
VALUES = {
    "start": "%START_TIME(%s%9f)%",
    "emit": "%EMIT_TIME(%s%9f)%",
    "accepted": "%COMMON_DURATION(DS_CX_BEG:DS_RX_BEG:ns)%",
    **{
        name: f"%COMMON_DURATION(DS_RX_BEG:{point}:ns)%"
        for name, point in [
            ("request_end", "DS_RX_END"),
            ("upstream_request_begin", "US_TX_BEG"),
            ("upstream_request_end", "US_TX_END"),
            ("upstream_response_begin", "US_RX_BEG"),
            ("upstream_response_end", "US_RX_END"),
            ("response_begin", "DS_TX_BEG"),
            ("response_end", "DS_TX_END"),
        ]
    },
    "connect": "%COMMON_DURATION(US_CX_BEG:US_CX_END:ns)%",
    "duration": "%DURATION%",
    "connection_id": "%CONNECTION_ID%",
    "upstream_connection_id": "%UPSTREAM_CONNECTION_ID%",
    "remote_port": "%DOWNSTREAM_REMOTE_PORT%",
    "upstream_local_port": "%UPSTREAM_LOCAL_PORT%",
    "request_id": "%REQ(x-request-id)%",
    "service_time": "%RESP(x-envoy-upstream-service-time)%",
    "code": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "down_wire_sent": "%DOWNSTREAM_WIRE_BYTES_SENT%",
    "down_wire_received": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
    "down_header_sent": "%DOWNSTREAM_HEADER_BYTES_SENT%",
    "down_header_received": "%DOWNSTREAM_HEADER_BYTES_RECEIVED%",
    "up_wire_sent": "%UPSTREAM_WIRE_BYTES_SENT%",
    "up_wire_received": "%UPSTREAM_WIRE_BYTES_RECEIVED%",
    "up_header_sent": "%UPSTREAM_HEADER_BYTES_SENT%",
    "up_header_received": "%UPSTREAM_HEADER_BYTES_RECEIVED%",
}


def formats() -> list[dict[str, Any]]:
    """All formats as records without scenario and line, the values first."""
    records: list[dict[str, Any]] = [{"json": VALUES, "values": None}]
    records.append({"default": True})
    records += [{"text": f"%{name}%\n", "omit": False} for name in OPERATORS]
    records += [{"json": {"v": f"%{name}%"}, "omit": False} for name in OPERATORS]
    for omit in (False, True):
        records += [{"text": text, "omit": omit} for text in TEXTS]
        records += [{"json": struct, "omit": omit} for struct in STRUCTS]
    return records


def config(records: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """A bootstrap whose access log number `n` writes to the file `n`."""
    logs = []
    for number, record in enumerate(records):
        file: dict[str, Any] = {
            "@type": TYPE + "access_loggers.file.v3.FileAccessLog",
            "path": str(folder / str(number)),
        }
        if "text" in record:
            file["log_format"] = {"text_format_source": {"inline_string": record["text"]}}
        elif "json" in record:
            file["log_format"] = {"json_format": record["json"]}
        if record.get("omit"):
            file["log_format"]["omit_empty_values"] = True
        logs.append({"name": "file", "typed_config": file})
    reply = {"status": 200, "body": {"inline_string": "hello"}}
    routes = [
        {"name": "direct", "match": {"prefix": "/direct"}, "direct_response": reply},
        {"name": "dead", "match": {"prefix": "/dead"}, "route": {"cluster": "dead"}},
        {"name": "main", "match": {"prefix": "/"}, "route": {"cluster": "c"}},
    ]
    router = {"@type": TYPE + "filters.http.router.v3.Router"}
    manager = {
        "@type": TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "i",
        "access_log": logs,
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    chain = {"name": "chain", "filters": [{"name": "hcm", "typed_config": manager}]}
    listener = {"name": "lst", "address": address(PORT), "filter_chains": [chain]}
    clusters = [cluster("c", ORIGIN), cluster("dead", DEAD)]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def address(port: int) -> dict[str, Any]:
    """A loopback address."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name: str, port: int) -> dict[str, Any]:
    """A cluster of one named endpoint."""
    endpoint = {"endpoint": {"hostname": f"host-{name}:99", "address": address(port)}}
    load = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "load_assignment": load}


def serve(listener: socket.socket) -> None:
    """An origin that answers every head, a request's whole body read or not."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        while data := connection.recv(65536):
            if b"\r\n\r\n" in data and b"content-length: 9" not in data:
                connection.sendall(ANSWER)
        connection.close()


def send(request: bytes) -> None:
    """Sends one request on its own connection and waits a little for the answer."""
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.sendall(request)
        connection.settimeout(0.3)
        try:
            while connection.recv(65536):
                pass
        except TimeoutError:
            pass


def wait_until_listening() -> None:
    """Returns once the proxy accepts; that connection logs nothing."""
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", PORT), 1).close()
            return
        except OSError:
            time.sleep(0.05)  # noqa: TID251 (a bounded wait for another process)
    raise TimeoutError("Envoy doesn't listen")


def main() -> None:
    """Runs Envoy once per scenario, so that every log file holds one line."""
    origin = socket.create_server(("127.0.0.1", ORIGIN))
    threading.Thread(target=serve, args=(origin,), daemon=True).start()
    for scenario, request in REQUESTS.items():
        records = formats()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "config.json").write_text(json.dumps(config(records, folder)))
            command = [
                os.environ["ENVOY"],
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "-l",
                "error",
            ]
            command += ["-c", str(folder / "config.json"), "--file-flush-interval-msec", "50"]
            odd = {b"ODD": b'\x01\x08\x0c\x7f\x80\xff"\\ a', b"PLAIN": b"bar baz", b"TZ": b"UTC"}
            with subprocess.Popen(command, env={**os.environb, **odd}) as process:
                try:
                    wait_until_listening()
                    send(request)
                    time.sleep(0.5)  # noqa: TID251 (ten flushes)
                finally:
                    process.terminate()
            for number, record in enumerate(records):
                line = (folder / str(number)).read_bytes().decode("latin-1")
                if "values" in record:
                    record = {"values": json.loads(line)}
                sys.stdout.write(json.dumps({"scenario": scenario, **record, "line": line}) + "\n")


if __name__ == "__main__":
    main()
