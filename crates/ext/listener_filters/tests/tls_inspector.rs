//! What a ClientHello tells, however it is cut, and what is no ClientHello.

mod common;

use common::*;
use dragoman_listener::{Arrival, Inspected, Progress, Transport};
use dragoman_proto::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use dragoman_stats::Value;

/// What Python's ssl with OpenSSL 3 says to www.Example.com, offering h2 and http/1.1.
fn recorded() -> Vec<u8> {
    let text: Vec<u8> = include_str!("client_hello.hex").bytes().filter(|b| *b != b'\n').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.chunks(2).map(byte).collect()
}

fn prefixed8(body: &[u8]) -> Vec<u8> {
    [&[body.len() as u8][..], body].concat()
}

fn prefixed16(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes()[..], body].concat()
}

fn numbers(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    prefixed16(&[&[0][..], &prefixed16(name)].concat())
}

fn alpn(names: &[&[u8]]) -> Vec<u8> {
    prefixed16(&names.iter().flat_map(|name| prefixed8(name)).collect::<Vec<u8>>())
}

/// A ClientHello in words.
#[derive(Clone)]
struct Hello {
    version: u16,
    session: Vec<u8>,
    ciphers: Vec<u16>,
    compression: Vec<u8>,
    extensions: Vec<(u16, Vec<u8>)>,
    tail: Vec<u8>,
}

impl Hello {
    fn new(extensions: &[(u16, Vec<u8>)]) -> Hello {
        Hello {
            version: 0x0303,
            session: vec![7; 32],
            ciphers: vec![0x1301, 0xc02b],
            compression: vec![0],
            extensions: extensions.to_vec(),
            tail: Vec::new(),
        }
    }

    fn message(&self) -> Vec<u8> {
        let extensions: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|(kind, body)| [&kind.to_be_bytes()[..], &prefixed16(body)].concat())
            .collect();
        let body = [
            &self.version.to_be_bytes()[..],
            &[9; 32],
            &prefixed8(&self.session),
            &prefixed16(&numbers(&self.ciphers)),
            &prefixed8(&self.compression),
            &prefixed16(&extensions),
            &self.tail,
        ]
        .concat();
        [&[1, 0][..], &prefixed16(&body)].concat()
    }

    fn bytes(&self) -> Vec<u8> {
        records(&self.message(), usize::MAX)
    }
}

/// The message in records of so many bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[22, 3, 1][..], &prefixed16(part)].concat();
    message.chunks(size.min(message.len())).flat_map(record).collect()
}

fn setup() -> Setup {
    compile(&TlsInspector::default())
}

fn strict() -> Setup {
    let close_connection_on_client_hello_parsing_errors = true;
    compile(&TlsInspector {
        close_connection_on_client_hello_parsing_errors,
        ..TlsInspector::default()
    })
}

fn applications(arrival: &Arrival) -> Vec<&[u8]> {
    arrival.applications.iter().map(|name| &**name).collect()
}

#[track_caller]
fn is_no_tls(data: &[u8]) {
    let setup = setup();
    let (answer, seen) = setup.ask(data);
    assert_eq!(answer, DONE);
    assert_eq!((seen.transport, &seen.server_name), (Transport::Raw, &None));
    assert_eq!(&*seen.metadata[0].value, "ClientHelloNotDetected");
    assert!(seen.transport_failure.is_some());
    setup.counted(&["tls_inspector.tls_not_found"]);
    assert!(matches!(strict().ask(data).0, Inspected::Close(_)));
}

#[test]
fn a_recorded_hello_tells_its_name_and_protocols() {
    let (answer, seen) = setup().ask_every_way(&recorded());
    assert_eq!(answer, DONE);
    assert_eq!(seen.transport, Transport::Tls);
    assert_eq!(seen.server_name.as_deref(), Some("www.example.com"));
    assert_eq!(applications(&seen), [&b"h2"[..], b"http/1.1"]);
    assert_eq!((seen.ja3, seen.ja4), (None, None));
}

#[test]
fn each_finding_is_counted_once() {
    let full = setup();
    full.ask(&recorded());
    full.counted(&[
        "tls_inspector.alpn_found",
        "tls_inspector.sni_found",
        "tls_inspector.tls_found",
    ]);
    let bare = setup();
    bare.ask(&Hello::new(&[]).bytes());
    bare.counted(&[
        "tls_inspector.alpn_not_found",
        "tls_inspector.sni_not_found",
        "tls_inspector.tls_found",
    ]);
}

/// The whole records of a ClientHello; a record's header of anything else.
#[test]
fn bytes_are_counted_once_a_connection() {
    let setup = setup();
    setup.ask(&[recorded(), vec![0; 100]].concat());
    setup.ask(b"GET / HTTP/1.1\r\n");
    setup.ask(b"\x16");
    setup.registry.flush();
    let samples = setup.registry.snapshot();
    let name = "tls_inspector.bytes_processed";
    let sample = samples.iter().find(|sample| sample.name == name).expect("a histogram");
    let Value::Histogram(summary) = &sample.value else { panic!("{sample:?}") };
    assert_eq!(summary.cumulative.count(), 2);
    // Bins are as wide as a tenth of a decade's step.
    let wanted = (recorded().len() + 5) as f64;
    assert!((summary.cumulative.sum() - wanted).abs() < 10.0, "{}", summary.cumulative.sum());
}

#[test]
fn records_may_cut_the_message_anywhere() {
    let hello = Hello::new(&[(0, server_name(b"a.example")), (16, alpn(&[b"h2"]))]);
    let message = hello.message();
    let whole = setup().ask(&hello.bytes());
    for size in [1, 2, 3, 4, 5, 50, message.len() - 1] {
        assert_eq!(setup().ask_every_way(&records(&message, size)), whole, "{size}");
    }
}

/// As many small records as there may be: `More` leads through them record by record, and nothing that
/// was read is read again.
#[test]
fn a_dripped_hello_is_read_once() {
    let hello = Hello::new(&[(21, vec![0; 2600])]);
    let (data, setup) = (records(&hello.message(), 1), setup());
    let (mut seen, mut progress) = (arrival(), Progress::default());
    let (mut asked, mut end, mut read) = (0, 0, 0);
    while let Inspected::More { until } =
        setup.filter.inspect(&data[..end], &mut progress, &mut seen, 0)
    {
        assert!(progress.at >= read && end - progress.at < 6, "{end} {progress:?}");
        (asked, end, read) = (asked + 1, until, progress.at);
    }
    assert_eq!(seen.transport, Transport::Tls);
    assert!(asked <= 4 * hello.message().len(), "{asked}");
}

#[test]
fn what_follows_the_message_is_not_looked_at() {
    let hello = Hello::new(&[(0, server_name(b"a.example"))]);
    let more = [hello.message(), vec![4; 9]].concat();
    for size in [usize::MAX, 20, hello.message().len() - 2] {
        let data = [records(&more, size), vec![0xff; 3]].concat();
        let (_, seen) = setup().ask_every_way(&data);
        assert_eq!(seen.server_name.as_deref(), Some("a.example"), "{size}");
    }
}

#[test]
fn the_first_bytes_settle_that_it_is_no_tls() {
    for data in [&b"S"[..], b"GEX", b"\0", b"\x15\x03", b"\x16\x02", b"\x80"] {
        is_no_tls(data);
    }
    assert_eq!(setup().ask(b"\x16\x03").0, Inspected::More { until: 5 });
}

#[test]
fn the_failure_names_what_came_instead() {
    let hello = Hello::new(&[]).message();
    let mut other = hello.clone();
    other[0] = 2;
    let long = [&[1, 0, 0x40, 1][..], &[0; 9]].concat();
    for (data, wanted) in [
        (b"GET / HTTP/1.1\r\n".to_vec(), "1000009c:SSL_routines:OPENSSL_internal:HTTP_REQUEST"),
        (b"POST / HTTP/1.1\r\n".to_vec(), ":HTTP_REQUEST:"),
        (b"CONNECT a:1 HTTP/1.1\r\n".to_vec(), ":HTTPS_PROXY_REQUEST:"),
        (b"SSH-2.0".to_vec(), ":WRONG_VERSION_NUMBER:"),
        (b"DELETE / HTTP/1.1\r\n".to_vec(), ":WRONG_VERSION_NUMBER:"),
        (b"\x17\x03\x01\0\x02ab".to_vec(), ":UNEXPECTED_RECORD:"),
        (b"\x16\x03\x01\x48\x01".to_vec(), ":ENCRYPTED_LENGTH_TOO_LONG:"),
        (records(&other, usize::MAX), ":UNEXPECTED_MESSAGE:"),
        (records(&long, usize::MAX), ":EXCESSIVE_MESSAGE_SIZE:"),
    ] {
        let (answer, seen) = setup().ask_every_way(&data);
        assert_eq!(answer, DONE);
        let failure = seen.transport_failure.unwrap_or_default();
        assert!(failure.contains(wanted), "{failure} {wanted}");
    }
}

#[test]
fn malformed_hellos_are_no_tls() {
    type Change = fn(&mut Hello);
    let changes: [Change; 12] = [
        |h| h.session = vec![7; 33],
        |h| h.ciphers.clear(),
        |h| h.compression.clear(),
        |h| h.tail = vec![0],
        |h| h.extensions = vec![(5, vec![]), (6, vec![]), (5, vec![])],
        |h| h.extensions = vec![(0, vec![])],
        |h| h.extensions = vec![(0, server_name(b""))],
        |h| h.extensions = vec![(0, server_name(b"a\0b"))],
        |h| h.extensions = vec![(0, server_name(&[b'a'; 256]))],
        |h| h.extensions = vec![(0, [server_name(b"a"), vec![0]].concat())],
        |h| h.extensions = vec![(0, prefixed16(&[&[1][..], &prefixed16(b"a")].concat()))],
        |h| h.extensions = vec![(0, prefixed16(&[&[0][..], &prefixed16(b"a"), &[0]].concat()))],
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut hello = Hello::new(&[]);
        change(&mut hello);
        named(at, || is_no_tls(&hello.bytes()));
    }
    is_no_tls(&[22, 3, 1, 0, 0]);
}

/// Names the row that failed.
fn named(row: usize, run: impl FnOnce() + std::panic::UnwindSafe) {
    assert!(std::panic::catch_unwind(run).is_ok(), "row {row}");
}

#[test]
fn versions_and_odd_hellos_that_are_taken() {
    type Change = fn(&mut Hello);
    let changes: [Change; 7] = [
        |h| h.version = 0x0301,
        |h| h.version = 0x0304,
        |h| h.extensions = vec![(43, prefixed8(&numbers(&[0x0300, 0x0a0a])))],
        |h| h.extensions = vec![(43, vec![])],
        |h| h.compression = vec![1],
        |h| h.session.clear(),
        |h| h.extensions = vec![(0, server_name(&[b'a'; 255]))],
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut hello = Hello::new(&[]);
        change(&mut hello);
        assert_eq!(setup().ask(&hello.bytes()).1.transport, Transport::Tls, "row {at}");
    }
    // Without the extensions' length too.
    let mut bare = Hello::new(&[]).message();
    bare.truncate(bare.len() - 2);
    bare[3] -= 2;
    assert_eq!(setup().ask(&records(&bare, usize::MAX)).1.transport, Transport::Tls);
}

/// Seen at Envoy 1.40: neither TLS nor raw, whatever `supported_versions` says.
#[test]
fn a_hello_for_no_version_of_tls_is_closed() {
    for version in [0, 0x0300, 0x0305, 0x0404] {
        let setup = setup();
        let extensions = [(0, server_name(b"a")), (43, prefixed8(&numbers(&[0x0304])))];
        let hello = Hello { version, ..Hello::new(&extensions) };
        let (answer, seen) = setup.ask(&hello.bytes());
        assert!(matches!(answer, Inspected::Close(_)));
        assert_eq!(&*seen.metadata[0].value, "ClientHelloInvalidTlsVersion");
        assert_eq!(seen.server_name.as_deref(), Some("a"));
        setup.counted(&["tls_inspector.sni_found", "tls_inspector.tls_not_found"]);
    }
}

/// Envoy takes the length of the buffer for the reason.
#[test]
fn where_only_tls_is_allowed_anything_long_counts_as_too_large() {
    let setup = strict();
    let (answer, seen) = setup.ask(&vec![b'a'; 16 << 10]);
    assert!(matches!(answer, Inspected::Close(_)));
    assert_eq!(&*seen.metadata[0].value, "ClientHelloTooLarge");
    setup.counted(&["tls_inspector.client_hello_too_large"]);
}

#[test]
fn a_malformed_protocol_list_offers_nothing() {
    for body in
        [vec![], vec![0, 0], vec![0, 1, 0], vec![0, 3, 5, b'h', b'2'], vec![0, 2, 1, b'a', 0]]
    {
        let setup = setup();
        let (_, seen) = setup.ask(&Hello::new(&[(16, body)]).bytes());
        assert_eq!((seen.transport, seen.applications.len()), (Transport::Tls, 0));
        assert!(setup.counts().contains(&("tls_inspector.alpn_not_found".to_owned(), 1)));
    }
}

#[test]
fn a_hello_over_the_limit_is_closed() {
    let message = TlsInspector { max_client_hello_size: number(300), ..TlsInspector::default() };
    let padded = |size: usize| Hello::new(&[(21, vec![0; size])]).bytes();
    let fits = 300 - padded(0).len();
    assert_eq!(compile(&message).ask_every_way(&padded(fits)).0, DONE);
    let setup = compile(&message);
    let (answer, seen) = setup.ask(&padded(fits + 1));
    assert!(matches!(answer, Inspected::Close(_)));
    assert_eq!(&*seen.metadata[0].value, "ClientHelloTooLarge");
    setup.counted(&["tls_inspector.client_hello_too_large"]);
    compile(&message).ask_every_way(&padded(fits + 1));
}

#[test]
fn the_default_limit_is_16_kib() {
    assert_eq!(setup().filter.max_bytes(), 16 << 10);
    let padded = |size: usize| Hello::new(&[(21, vec![0; size])]).bytes();
    let fits = (16 << 10) - padded(0).len();
    assert_eq!(setup().ask(&padded(fits)).0, DONE);
    assert!(matches!(setup().ask(&padded(fits + 1)).0, Inspected::Close(_)));
}

/// What Envoy 1.40 says to the same bytes.
#[test]
fn fingerprints_of_a_recorded_hello() {
    let setup = compile(&TlsInspector {
        enable_ja3_fingerprinting: yes(),
        enable_ja4_fingerprinting: yes(),
        ..TlsInspector::default()
    });
    let (_, seen) = setup.ask_every_way(&recorded());
    assert_eq!(seen.ja3.as_deref(), Some("304734bb1c086c3453b387400cf83f11"));
    assert_eq!(seen.ja4.as_deref(), Some("t13d1812h2_85036bcba153_d41ae481755e"));
}

/// The example of JA3's own description, with grease added where clients put it.
#[test]
fn ja3_of_the_published_example() {
    let setup = compile(&TlsInspector { enable_ja3_fingerprinting: yes(), ..Default::default() });
    let hello = Hello {
        version: 769,
        ciphers: vec![0x1a1a, 47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
        ..Hello::new(&[
            (0x0a0a, vec![]),
            (0, server_name(b"a")),
            (10, prefixed16(&numbers(&[0xfafa, 23, 24, 25]))),
            (11, prefixed8(&[0])),
        ])
    };
    let (_, seen) = setup.ask(&hello.bytes());
    assert_eq!(seen.ja3.as_deref(), Some("ada70206e40642a3e4461f35503241d5"));
    assert_eq!(seen.ja4, None);
}

fn ja4_of(hello: &Hello) -> String {
    let setup = compile(&TlsInspector { enable_ja4_fingerprinting: yes(), ..Default::default() });
    let (_, seen) = setup.ask(&hello.bytes());
    assert_eq!(seen.ja3, None);
    seen.ja4.expect("a fingerprint").into()
}

/// The example of JA4's technical details.
#[test]
fn ja4_of_the_published_example() {
    let empty = |kind: u16| (kind, Vec::new());
    let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
    let hello = Hello {
        ciphers: vec![
            0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
            0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
        ],
        ..Hello::new(&[
            empty(0x6a6a),
            empty(0x001b),
            (0, server_name(b"a.example")),
            empty(0x0033),
            (16, alpn(&[b"h2", b"http/1.1"])),
            empty(0x4469),
            empty(0x0017),
            empty(0x002d),
            (13, prefixed16(&numbers(&algorithms))),
            empty(0x0005),
            empty(0x0023),
            empty(0x0012),
            (0x002b, prefixed8(&numbers(&[0x7a7a, 0x0304, 0x0303]))),
            empty(0xff01),
            empty(0x000b),
            empty(0x000a),
            empty(0x0015),
        ])
    };
    assert_eq!(ja4_of(&hello), "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

#[test]
fn ja4_of_little() {
    let mut hello = Hello::new(&[]);
    let first = |hello: &Hello| ja4_of(hello).split('_').next().unwrap().to_owned();
    assert_eq!(first(&hello), "t12i020000");
    assert!(ja4_of(&hello).ends_with("_000000000000"));
    hello.ciphers = vec![0x0a0a];
    assert_eq!(ja4_of(&hello), "t12i000000_000000000000_000000000000");
    for (name, wanted) in [(&b"x"[..], "xx"), (b"\xabc", "a3"), (b"h\xcd", "6d"), (b"", "00")] {
        hello.extensions = vec![(16, alpn(&[name]))];
        assert_eq!(first(&hello), format!("t12i0001{wanted}"));
    }
    hello.version = 0x0302;
    assert!(ja4_of(&hello).starts_with("t11"));
}

#[test]
fn no_bytes_make_it_panic() {
    let message = TlsInspector {
        enable_ja3_fingerprinting: yes(),
        enable_ja4_fingerprinting: yes(),
        ..TlsInspector::default()
    };
    let hello = Hello::new(&[(0, server_name(b"a.b")), (16, alpn(&[b"h2"])), (10, vec![0, 1, 2])]);
    let cut = records(&hello.message(), 20);
    compile(&message).survive_mutations(&[
        &recorded(),
        &hello.bytes(),
        &cut,
        b"GET / HTTP/1.1\r\n",
    ]);
}

#[test]
fn sizes_out_of_their_range() {
    for size in [0, 255, 16_385] {
        let message = TlsInspector { max_client_hello_size: number(size), ..Default::default() };
        refused(&message, "max_client_hello_size", "out-of-range");
    }
    for size in [255, 65_537] {
        let message = TlsInspector { initial_read_buffer_size: number(size), ..Default::default() };
        refused(&message, "initial_read_buffer_size", "out-of-range");
    }
    let message = TlsInspector { initial_read_buffer_size: number(65_536), ..Default::default() };
    compile(&message);
}
