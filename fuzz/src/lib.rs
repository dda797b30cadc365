//! What must hold whatever bytes come. A property takes bytes and panics when it is broken.
//!
//! `cargo test -p dragoman-fuzz` replays seeds and mutations of them; `fuzz/targets` lets libFuzzer
//! search. Each property opens with the sentence that it defends.

mod arrivals;
mod configured;
mod heads;
mod http2;
mod transcoded;

pub use arrivals::arrival;
pub use configured::{expression, substitution};
pub use heads::{accepted, body, request, response};
pub use http2::http2;
pub use transcoded::transcoded;

/// A property, its name and texts to begin with.
pub struct Property {
    pub name: &'static str,
    pub holds: fn(&[u8]),
    pub seeds: &'static [&'static str],
}

/// Every property there is.
pub const PROPERTIES: &[Property] = &[
    Property {
        name: "request",
        holds: request,
        seeds: &[
            "GET /a?b HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\nContent-Length: 3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n",
            "GET http://h/p HTTP/1.0\r\nconnection: keep-alive, upgrade\r\nupgrade: x\r\n\r\n",
        ],
    },
    Property {
        name: "response",
        holds: response,
        seeds: &[
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nset-cookie: a=b\r\n\r\nhello",
            "HTTP/1.0 404 \r\nconnection: close\r\n\r\n",
            "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\ntransfer-encoding: chunked\r\n\r\n",
        ],
    },
    Property {
        name: "body",
        holds: body,
        seeds: &[
            "5\r\nhello\r\n0\r\n\r\n",
            "A;x=\"y\"\r\n0123456789\r\n1\r\na\r\n0\r\nx-t: u\r\ny: z\r\n\r\ntail",
            "0005\r\nhello\r\n00;a;b=c\r\n\r\n",
        ],
    },
    Property {
        name: "accepted",
        holds: accepted,
        seeds: &[
            "GET /a/../b//c%2f%2E%2e;d?e=f HTTP/1.1\r\nhost: H:80\r\nx-forwarded-for: 1.2.3.4, [::1]:5\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: x-a, te\r\nx-a: 1\r\nte: trailers\r\n\r\n",
            "GET https://u@h:443/x HTTP/1.1\r\nx-envoy-retry-on: 5xx\r\nx-request-id: 7\r\n\r\n",
        ],
    },
    Property {
        name: "substitution",
        holds: substitution,
        seeds: &[
            "%REQ(X?:PATH):5% %START_TIME(%Y/%m %3f %s)% %%",
            "[%PROTOCOL%] %DURATION% %RESP(a)% %COALESCE({\"operators\":[\"PROTOCOL\"]})%",
            "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %QUERY_PARAM(a)% %COMMON_DURATION(A:B:ms)%",
        ],
    },
    Property {
        name: "arrival",
        holds: arrival,
        seeds: &[
            "PROXY TCP4 198.51.100.1 198.51.100.2 1000 443\r\nGET / HTTP/1.1\r\n",
            "\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x50\x01\x42rest",
            "\x16\x03\x01\0\x34\x01\0\0\x30\x03\x0312345678901234567890123456789012\0\0\x02\x13\x01\x01\0\0\x05\0\0\0\x01a",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET /a HTTP/1.0\r\n",
        ],
    },
    Property {
        name: "http2",
        holds: http2,
        seeds: &[
            "\0\0\x35\x01\x05\0\0\0\x01\0\x07:method\x03GET\0\x07:scheme\x04http\0\x05:path\x04/a?b\0\x0a:authority\x01a\0\0\x4f\x01\x05\0\0\0\x03\0\x07:method\x03PUT\0\x07:scheme\x04http\0\x05:path\x01/\0\x0a:authority\x01a\0\x06cookie\x03a=b\0\x03x-y\x01z\0\x06cookie\x01c",
            "\0\0\x45\x01\x04\0\0\0\x01\0\x07:method\x04POST\0\x07:scheme\x04http\0\x05:path\x01/\0\x0a:authority\x01a\0\x0econtent-length\x015\0\0\x05\0\x01\0\0\0\x01hello",
            "\0\0\x33\x01\x04\0\0\0\x01\0\x07:method\x04POST\0\x07:scheme\x04http\0\x05:path\x01/\0\x0a:authority\x01a\0\0\x03\0\x00\0\0\0\x01hel\0\0\x02\0\x00\0\0\0\x01lo\0\0\x07\x01\x05\0\0\0\x01\0\x03x-t\x011",
            "\0\0\x4c\x01\x04\0\0\0\x01\0\x07:method\x07CONNECT\0\x07:scheme\x04http\0\x05:path\x02/w\0\x0a:authority\x01a\0\x09:protocol\x09websocket\0\0\x01\0\x00\0\0\0\x01x",
            "\0\0\x08\x06\0\0\0\0\0pingping\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\x05\0\0\x04\x08\0\0\0\0\0\0\0\0\x01\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
        ],
    },
    Property {
        name: "transcoded",
        holds: transcoded,
        seeds: &[
            "PUT /shelves/7?theme=a%20b&genre=2\n{\"tags\":[\"x\"],\"place\":{\"floor\":\"3\"},\"counts\":{\"a\":1}}",
            "POST /shelves/1/books\n[{\"title\":\"a]\"} , {\"shelf\":2}]",
            "POST /chat\n\0\0\0\0\x03\n\x01b\0\0\0\0\0",
            "GET /v1/rooms/%2F/shelves/x//y\n\0\0\0\0\x02\x08\x07",
            "POST /files/a\nraw \x7f bytes",
        ],
    },
    Property {
        name: "expression",
        holds: expression,
        seeds: &["^/a/(\\d+)[^\\s/x-z]{2,3}$", "(?i)a\\Qb.c\\E|\\pL+[[:alpha:]]", "\\bx{,3}\\C{1"],
    },
];
