//! What configurations hold in languages of their own: substitution formats, regular expressions.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use dragoman_format::{Format, Scratch};
use dragoman_types::{Address, Connection, Facts, Faults, Moment, RequestHead, StreamInfo, id};

/// A format is refused or can be written, for a request of which nothing is known and for one whose
/// fields hold the bytes themselves; a line of it never holds a line end that the format doesn't.
pub fn substitution(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut faults = Faults::new();
    let format = Format::parse_line(&text, false, &mut faults);
    if !faults.is_empty() {
        return;
    }
    let now = Moment::START;
    let connection = Connection {
        id: 1,
        remote_ip: "".into(),
        direct_remote: Address::Ip((Ipv4Addr::LOCALHOST, 1).into()),
        remote: Address::Ip((Ipv4Addr::LOCALHOST, 1).into()),
        direct_local: Address::Ip((Ipv4Addr::LOCALHOST, 2).into()),
        local: Address::Ip((Ipv4Addr::LOCALHOST, 2).into()),
        listener: "l".into(),
        accepted_at: now,
        hello: None,
        chain: "".into(),
        tls: None,
    };
    let mut info = StreamInfo::new(1, now);
    let mut scratch = Scratch::new(SystemTime::UNIX_EPOCH, now);
    let mut out = Vec::new();
    format.write(&Facts::new(&connection, &info), &mut scratch, &mut out);
    let mut request = RequestHead::default();
    let field: Vec<u8> = bytes.iter().copied().filter(|b| *b >= b' ').collect();
    request.headers.append(id::PATH, &field);
    request.headers.append(id::AUTHORITY, &field);
    info.details = Some("via_upstream".into());
    let mut facts = Facts::new(&connection, &info);
    facts.request = Some(&request);
    out.clear();
    format.write(&facts, &mut scratch, &mut out);
    if !text.contains('\n') {
        assert!(!out.contains(&b'\n'), "{text:?} gave {:?}", String::from_utf8_lossy(&out));
    }
}

/// An expression is refused, or compiles to a bounded size and can be run over its own text.
pub fn expression(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for whole in [false, true] {
        let mut faults = Faults::new();
        let compiled = dragoman_proto::regex(&text, whole, &mut faults);
        assert_eq!(compiled.is_some(), faults.is_empty());
        if let Some(compiled) = compiled {
            let _ = compiled.is_match(bytes);
        }
    }
}
