//! HTTP/1 from the wire: heads, chunked bodies, and what the connection manager lets in.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use dragoman_codec::h1::write::{NameStyle, request_head, response_head};
use dragoman_codec::h1::{BodyDecoder, ParseError, parse_request, parse_response};
use dragoman_codec::{Framing, Limits, Request, Response};
use dragoman_http_connection_manager::{Arrival, Config, Node, Scratch};
use dragoman_proto::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use dragoman_proto::pb::google::protobuf::BoolValue;
use dragoman_types::{
    Address, Connection, Faults, Headers, Moment, RequestHead, ResponseHead, StreamInfo, id,
};

const LIMITS: Limits = Limits { head_bytes: 4096, fields: 80 };

/// No two readers can take a head that we let through for two different things: however its bytes
/// arrive it is read alike, it holds nothing that ends a line, and read again after we wrote it, it
/// says the same.
pub fn request(bytes: &[u8]) {
    let read = |bytes: &[u8], scanned: &mut usize| {
        let mut head = RequestHead::default();
        parse_request(bytes, scanned, &LIMITS, &mut head).map(|found| found.map(|f| (f, head)))
    };
    let Some((found, head)) = same_however_it_arrives(bytes, read) else { return };
    check_fields(&head.headers);
    assert!(head.method().iter().all(u8::is_ascii_uppercase));
    assert!(head.path().iter().all(u8::is_ascii_graphic));
    let framing = found.framing;
    if head.headers.contains(id::CONTENT_LENGTH) {
        assert!(framing != Framing::Chunked, "both length and chunks");
    }
    let mut written = Vec::new();
    request_head(&mut written, &head, framing, NameStyle::Lower, false);
    let Ok(Some((again, head_again))) = read(&written, &mut 0) else {
        // What we add (`transfer-encoding`, spelled out) may only take a head over its limits.
        assert!(written.len() > LIMITS.head_bytes || head.headers.len() > LIMITS.fields);
        return;
    };
    assert_eq!(again.framing, framing);
    assert_eq!(head_again.path(), head.path());
    assert_eq!(head_again.authority(), head.authority());
}

/// The same for a host's answers.
pub fn response(bytes: &[u8]) {
    for to_head in [false, true] {
        let read = |bytes: &[u8], scanned: &mut usize| {
            let mut head = ResponseHead::default();
            let found = parse_response(bytes, scanned, &LIMITS, to_head, &mut head);
            found.map(|found| found.map(|f| (f, head)))
        };
        let Some((found, head)) = same_however_it_arrives(bytes, read) else { return };
        check_fields(&head.headers);
        assert!((100..1000).contains(&head.status));
        let mut written = Vec::new();
        response_head(&mut written, &head, found.framing, NameStyle::Lower, false);
        let Ok(Some((again, _))) = read(&written, &mut 0) else { continue };
        if found.framing != Framing::None {
            assert_eq!(again.framing, found.framing);
        }
    }
}

/// A head, request or response.
trait HasFields: std::fmt::Debug {
    fn fields(&self) -> &Headers;
}

impl HasFields for RequestHead {
    fn fields(&self) -> &Headers {
        &self.headers
    }
}

impl HasFields for ResponseHead {
    fn fields(&self) -> &Headers {
        &self.headers
    }
}

/// Two tables of the same fields: what is asked and what is written is the same too.
fn check_same(one: &Headers, other: &Headers) {
    assert!(one.iter().eq(other.iter()), "{one:?} {other:?}");
    assert_eq!((one.present(), one.repeated()), (other.present(), other.repeated()));
    let mut written = [Vec::new(), Vec::new(), Vec::new()];
    one.write_lines(&mut written[0], |_| true);
    other.write_lines(&mut written[1], |_| true);
    for (id, name, value) in one.iter().filter(|(id, ..)| !id.is_pseudo() || *id == id::AUTHORITY) {
        let name = if id == id::AUTHORITY { b"host" } else { name };
        written[2].extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
    }
    assert!(written[0] == written[1] && written[1] == written[2], "{one:?}");
}

/// A head that was taken.
trait Taken: PartialEq + std::fmt::Debug {
    fn consumed(&self) -> usize;
}

impl Taken for Request {
    fn consumed(&self) -> usize {
        self.consumed
    }
}

impl Taken for Response {
    fn consumed(&self) -> usize {
        self.consumed
    }
}

/// Reads at once, and byte by byte: the same is found, or the same is wrong.
fn same_however_it_arrives<F: Taken, H: HasFields>(
    bytes: &[u8],
    read: impl Fn(&[u8], &mut usize) -> Result<Option<(F, H)>, ParseError>,
) -> Option<(F, H)> {
    let whole = read(bytes, &mut 0);
    let mut scanned = 0;
    let steps = (0..=bytes.len()).map(|end| read(&bytes[..end], &mut scanned));
    let slow = steps.into_iter().find(|step| !matches!(step, Ok(None)));
    match (whole, slow) {
        (Ok(Some((found, head))), Some(Ok(Some((slow, slow_head))))) => {
            assert_eq!(found, slow);
            check_same(head.fields(), slow_head.fields());
            assert!(found.consumed() <= bytes.len());
            Some((found, head))
        }
        (Ok(None), None) | (Err(_), Some(Err(_))) => None,
        (whole, slow) => panic!("at once {whole:?}, byte by byte {slow:?}"),
    }
}

fn check_fields(headers: &Headers) {
    for (_, name, value) in headers.iter() {
        let name = name.strip_prefix(b":").unwrap_or(name);
        let token = |b: &u8| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(b);
        assert!(!name.is_empty() && name.iter().all(token), "{name:?}");
        assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{value:?}");
        assert_eq!(value.trim_ascii(), value);
    }
}

/// A chunked body gives the same bytes and the same end however it arrives, and never more bytes
/// than came.
pub fn body(bytes: &[u8]) {
    let whole = decode(bytes, bytes.len().max(1));
    for step in [1, 2, 7] {
        let slow = decode(bytes, step);
        match (&whole, &slow) {
            (Ok(whole), Ok(slow)) => assert_eq!(whole, slow),
            (Err(_), Err(_)) => {}
            _ => panic!("at once {whole:?}, {step} at a time {slow:?}"),
        }
    }
    if let Ok((data, taken, _)) = whole {
        assert!(data.len() <= taken && taken <= bytes.len());
    }
}

/// (data, bytes taken, whether the end came)
fn decode(bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), ParseError> {
    let mut decoder = BodyDecoder::new(Framing::Chunked, LIMITS);
    let (mut data, mut at, mut end) = (Vec::new(), 0, 0);
    loop {
        let found = decoder.decode(&bytes[at..end])?;
        at += found.framing;
        data.extend_from_slice(&bytes[at..at + found.data]);
        at += found.data;
        if found.done {
            return Ok((data, at, true));
        }
        if found.framing + found.data == 0 {
            if end == bytes.len() {
                return Ok((data, at, false));
            }
            end = (end + step).min(bytes.len());
        }
    }
}

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let message = pb::HttpConnectionManager {
        stat_prefix: "x".into(),
        use_remote_address: Some(BoolValue { value: true }),
        normalize_path: Some(BoolValue { value: true }),
        merge_slashes: true,
        path_with_escaped_slashes_action:
            pb::http_connection_manager::PathWithEscapedSlashesAction::UnescapeAndForward as i32,
        ..Default::default()
    };
    Config::compile(&message, &Node::default(), &|_, _| None, &mut Faults::new())
});

pub(crate) static CONNECTION: LazyLock<Connection> = LazyLock::new(|| Connection {
    id: 1,
    remote_ip: "".into(),
    direct_remote: Address::Ip((Ipv4Addr::new(203, 0, 113, 5), 4321).into()),
    remote: Address::Ip((Ipv4Addr::new(203, 0, 113, 5), 4321).into()),
    direct_local: Address::Ip((Ipv4Addr::LOCALHOST, 8080).into()),
    local: Address::Ip((Ipv4Addr::LOCALHOST, 8080).into()),
    listener: "l".into(),
    accepted_at: Moment::START,
    hello: None,
    chain: "".into(),
    tls: None,
});

/// What is let in is what everybody behind sees: a path without ways up or doubled slashes, no field
/// that only we may say, and letting it in once more changes nothing of its path.
pub fn accepted(bytes: &[u8]) {
    let mut head = RequestHead::default();
    if !matches!(parse_request(bytes, &mut 0, &LIMITS, &mut head), Ok(Some(_))) {
        return;
    }
    if !accept(&mut head) {
        return;
    }
    check_fields(&head.headers);
    let path = head.path().to_vec();
    let part = path.split(|b| *b == b'?').next().unwrap_or_default();
    if head.method() != b"CONNECT" && part != b"*" {
        assert!(part.starts_with(b"/"), "{path:?}");
        assert!(!part.windows(2).any(|two| two == b"//"), "{path:?}");
        assert!(!part.split(|b| *b == b'/').any(|segment| matches!(segment, b"." | b"..")));
    }
    assert!(!head.headers.contains(id::X_ENVOY_RETRY_ON));
    assert!(head.headers.contains(id::X_REQUEST_ID));
    // An escaped dot segment with parameters (`%2e%2e;x`) comes out plain, and plain ones are cut the
    // next time: a real Envoy does the same.
    let cut_next_time =
        part.split(|b| *b == b'/').any(|s| s.starts_with(b".") && s.contains(&b';'));
    if !cut_next_time && accept(&mut head) {
        assert_eq!(head.path(), path);
    }
}

fn accept(head: &mut RequestHead) -> bool {
    let arrival =
        Arrival { connection: &CONNECTION, local_interface: None, internal_only_headers: &[] };
    let mut info = StreamInfo::new(1, CONNECTION.accepted_at);
    let mut random = || 7;
    CONFIG.accept(head, &arrival, &mut info, &mut random, &mut Scratch::default()).is_ok()
}
