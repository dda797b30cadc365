use std::task::{Poll, Waker};

use dragoman_types::{Headers, RequestHead, ResponseHead, id};

use super::*;
use crate::h2::stream::Key;

pub(super) const NOW: Moment = Moment::START;

pub(super) fn options() -> Options {
    Options {
        table_size: 4096,
        max_streams: 100,
        stream_window: FIRST_WINDOW,
        connection_window: FIRST_WINDOW,
        extended_connect: true,
        limits: Limits { head_bytes: 60 << 10, fields: 100 },
        message_ends_stream: true,
        max_frames: 10_000,
        max_control_frames: 1000,
        guard: GuardLimits::default(),
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// A client's end and a server's, with the bytes between them.
struct Both {
    client: Endpoint,
    server: Endpoint,
}

impl Both {
    fn new(options: Options) -> Both {
        let client = Endpoint::new(Side::Client, options, NOW);
        let server = Endpoint::new(Side::Server, options, NOW);
        let mut both = Both { client, server };
        both.talk();
        both
    }

    /// Moves bytes, a few at a time, until there are none.
    fn talk(&mut self) {
        for round in 1.. {
            let moved = carry(&mut self.client, &mut self.server, round)
                + carry(&mut self.server, &mut self.client, round);
            if moved == 0 {
                break;
            }
        }
    }

    fn ask(&mut self, path: &[u8], end: bool) -> (Key, Key) {
        let ours = self.client.open(&request(path), None, b"http", end).unwrap();
        self.talk();
        let Some(Arrival::Request(theirs)) = self.server.accept() else { panic!("no request") };
        let head = self.server.take_head(theirs).unwrap();
        assert_eq!(head.headers.get(id::PATH), Some(path));
        assert_eq!(head.end, end);
        (ours, theirs)
    }

    fn received(&mut self, key: Key) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut chunk = Vec::new();
            match self.client.poll_body(key, &cx(), &mut chunk) {
                Poll::Ready(Ok(true)) => {
                    self.client.consumed(key, chunk.len());
                    all.extend_from_slice(&chunk);
                    self.talk();
                }
                _ => return all,
            }
        }
    }
}

fn carry(from: &mut Endpoint, to: &mut Endpoint, pieces: usize) -> usize {
    let bytes = from.output().to_vec();
    from.sent(bytes.len());
    for piece in bytes.chunks(bytes.len().div_ceil(pieces % 7 + 1).max(1)) {
        to.receive(piece, NOW);
    }
    bytes.len()
}

pub(super) fn request(path: &[u8]) -> RequestHead {
    let mut head = RequestHead::default();
    head.headers.append(id::METHOD, b"POST");
    head.headers.append(id::PATH, path);
    head.headers.append(id::AUTHORITY, b"a.example");
    head.headers.append(&b"x-own"[..], b"value");
    head
}

pub(super) fn response(status: u16) -> ResponseHead {
    let mut head = ResponseHead { status, ..ResponseHead::default() };
    head.headers.append(id::CONTENT_TYPE, b"text/plain");
    head
}

fn send(end: &mut Endpoint, key: Key, data: &[u8]) -> usize {
    match end.poll_send(key, &cx(), data, false) {
        Poll::Ready(Ok(sent)) => sent,
        Poll::Ready(Err(gone)) => panic!("{gone:?}"),
        Poll::Pending => 0,
    }
}

#[test]
fn a_request_and_its_answer_go_whole() {
    let mut both = Both::new(options());
    for round in 0..50 {
        let (ours, theirs) = both.ask(b"/a?b=<\"c\">", false);
        assert_eq!(send(&mut both.client, ours, b"hello"), 5);
        let mut trailers = Headers::new();
        trailers.append(&b"x-sum"[..], b"1");
        both.client.finish(ours, Some(&trailers));
        both.talk();
        let mut body = Vec::new();
        assert_eq!(both.server.poll_body(theirs, &cx(), &mut body), Poll::Ready(Ok(true)));
        assert_eq!(body, b"hello");
        both.server.consumed(theirs, 5);
        body.clear();
        assert_eq!(both.server.poll_body(theirs, &cx(), &mut body), Poll::Ready(Ok(false)));
        let taken = both.server.take_trailers(theirs).unwrap();
        assert_eq!(taken.get(&b"x-sum"[..]), Some(&b"1"[..]));
        both.server.respond(theirs, &response(103), false, false);
        both.server.respond(theirs, &response(400 + round), false, false);
        send(&mut both.server, theirs, b"world");
        both.server.finish(theirs, None);
        both.server.release(theirs, 0, Code::INTERNAL_ERROR);
        both.talk();
        for status in [103, 400 + round] {
            let Poll::Ready(Ok(head)) = both.client.poll_head(ours, &cx()) else { panic!() };
            assert_eq!(head.status, status);
            both.client.give_back(head);
        }
        assert_eq!(both.received(ours), b"world");
        assert!(both.client.is_received(ours));
        both.client.release(ours, 0, Code::CANCEL);
        both.talk();
        assert_eq!((both.client.streams(), both.server.streams()), (0, 0));
    }
    assert_eq!((both.client.fault(), both.server.fault()), (None, None));
    assert_eq!(both.client.seen.resets_out + both.server.seen.resets_out, 0);
}

#[test]
fn a_slow_reader_holds_nobody_up_beyond_what_is_kept() {
    let mut both = Both::new(options());
    let (ours, theirs) = both.ask(b"/", true);
    both.server.respond(theirs, &response(200), false, false);
    let block = vec![7; 1 << 20];
    let mut sent = 0;
    loop {
        let n = send(&mut both.server, theirs, &block[sent..]);
        both.talk();
        sent += n;
        if n == 0 {
            break;
        }
    }
    // The window's bytes are there, and as many wait as are kept of one stream.
    assert_eq!(sent, FIRST_WINDOW as usize + (64 << 10));
    let (short, shorts) = both.ask(b"/short", true);
    both.server.respond(shorts, &response(200), false, false);
    assert_eq!(send(&mut both.server, shorts, b"short"), 5);
    both.server.finish(shorts, None);
    // Its holder is through with it, though the connection's window is used up.
    both.server.release(shorts, 0, Code::INTERNAL_ERROR);
    assert_eq!(both.server.streams(), 2);
    both.talk();
    assert!(both.client.poll_head(short, &cx()).is_ready());
    assert!(both.received(short).is_empty());
    assert_eq!(both.received(ours).len(), sent);
    assert_eq!(both.received(short), b"short");
    both.talk();
    assert_eq!(both.server.streams(), 1);
}

#[test]
fn what_is_not_taken_is_given_up() {
    let mut both = Both::new(options());
    let (_, theirs) = both.ask(b"/", true);
    both.server.respond(theirs, &response(200), false, false);
    let block = vec![7; FIRST_WINDOW as usize + 10];
    assert_eq!(send(&mut both.server, theirs, &block), block.len());
    both.server.finish(theirs, None);
    both.server.release(theirs, 0, Code::INTERNAL_ERROR);
    both.talk();
    let limit = std::time::Duration::from_secs(1);
    assert_eq!(both.server.flushing_since(NOW), Some(NOW));
    assert_eq!(both.server.give_up_flushing(NOW, limit), 0);
    assert_eq!(both.server.give_up_flushing(NOW.after(limit), limit), 1);
    assert_eq!((both.server.streams(), both.server.flushing_since(NOW)), (0, None));
}

#[test]
fn streams_take_turns() {
    let mut both = Both::new(options());
    let keys: Vec<_> = (0..8).map(|_| both.ask(b"/", true)).collect();
    for (_, theirs) in &keys {
        both.server.respond(*theirs, &response(200), false, false);
        assert_eq!(send(&mut both.server, *theirs, &[1; 60_000]), 60_000);
    }
    both.talk();
    // Each has its first frames before any has all.
    let mut sizes = vec![Vec::new(); keys.len()];
    for _ in 0..100 {
        for ((ours, _), sizes) in keys.iter().zip(&mut sizes) {
            let mut chunk = Vec::new();
            if both.client.poll_body(*ours, &cx(), &mut chunk) == Poll::Ready(Ok(true)) {
                both.client.consumed(*ours, chunk.len());
                sizes.push(chunk.len());
            }
        }
        both.talk();
    }
    assert!(sizes.iter().all(|sizes| sizes.iter().sum::<usize>() == 60_000), "{sizes:?}");
    assert!(sizes[1..].iter().all(|sizes| sizes[0] <= frames::LARGEST), "{sizes:?}");
}

#[test]
fn what_came_before_a_reset_is_there() {
    let mut both = Both::new(options());
    let (ours, theirs) = both.ask(b"/", true);
    both.server.respond(theirs, &response(200), false, false);
    send(&mut both.server, theirs, b"half");
    both.server.release(theirs, 0, Code::INTERNAL_ERROR);
    both.talk();
    assert!(both.client.poll_head(ours, &cx()).is_ready());
    assert_eq!(both.received(ours), b"half");
    let gone = both.client.poll_body(ours, &cx(), &mut Vec::new());
    assert_eq!(gone, Poll::Ready(Err(Gone::Reset(Code::INTERNAL_ERROR))));
}

#[test]
fn the_end_is_told_twice() {
    let mut both = Both::new(options());
    let (ours, theirs) = both.ask(b"/", true);
    both.server.leave();
    assert!(!both.server.has_left());
    // One that was on its way when the client was told is taken.
    let late = both.client.open(&request(b"/late"), None, b"http", true).unwrap();
    both.talk();
    assert!(!both.client.may_open() && both.client.went_away());
    assert!(matches!(both.server.accept(), Some(Arrival::Request(_))));
    assert_eq!(both.client.gone(late), None);
    both.server.respond(theirs, &response(204), false, true);
    both.server.release(theirs, 0, Code::INTERNAL_ERROR);
    both.talk();
    assert!(!both.server.has_left());
    assert!(both.client.poll_head(ours, &cx()).is_ready());
    both.client.release(ours, 0, Code::CANCEL);
}

#[test]
fn a_connection_that_ends_says_what_it_has_not_seen() {
    let mut both = Both::new(options());
    let (first, _) = both.ask(b"/", true);
    both.server.fail(Fault::protocol("for a test"));
    let second = both.client.open(&request(b"/"), None, b"http", true).unwrap();
    let bytes = both.server.output().to_vec();
    both.client.receive(&bytes, NOW);
    assert_eq!(both.client.gone(second), Some(Gone::Unseen));
    assert_eq!(both.client.gone(first), None);
    both.client.close();
    assert_eq!(both.client.gone(first), Some(Gone::Closed));
}

#[test]
fn large_heads_go_in_several_frames() {
    let mut both = Both::new(options());
    let mut head = request(b"/");
    let value: Vec<u8> = (0..50_000u32).map(|n| b' ' + (n * 7 % 90) as u8).collect();
    head.headers.append(&b"x-large"[..], &value);
    both.client.open(&head, None, b"http", true).unwrap();
    both.talk();
    let Some(Arrival::Request(key)) = both.server.accept() else { panic!() };
    let taken = both.server.take_head(key).unwrap();
    assert_eq!(taken.headers.get(&b"x-large"[..]), Some(&value[..]));
    // One that is too large is told of, and the next one can be read.
    head.headers.append(&b"x-larger"[..], &value);
    both.client.open(&head, None, b"http", true).unwrap();
    both.talk();
    assert!(matches!(both.server.accept(), Some(Arrival::TooLarge(_))));
    both.ask(b"/next", true);
}

#[test]
fn windows_are_given_back_whatever_becomes_of_the_bytes() {
    let mut both = Both::new(options());
    for _ in 0..20 {
        let (ours, theirs) = both.ask(b"/", false);
        let block = [7; 30_000];
        assert_eq!(send(&mut both.client, ours, &block), block.len());
        both.talk();
        both.server.respond(theirs, &response(413), false, true);
        both.server.release(theirs, 0, Code::NO_ERROR);
        both.talk();
        assert_eq!(both.client.gone(ours), Some(Gone::Reset(Code::NO_ERROR)));
        both.client.release(ours, 0, Code::CANCEL);
    }
    assert_eq!(both.server.fault(), None);
}

#[test]
fn no_bytes_make_it_panic() {
    let mut seed = 1u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u32
    };
    for round in 0..3000 {
        let side = if round % 2 == 0 { Side::Server } else { Side::Client };
        let mut end = Endpoint::new(side, options(), NOW);
        let mut bytes = if side == Side::Server { PREFACE.to_vec() } else { Vec::new() };
        frames::put(&mut bytes, frames::SETTINGS, 0, 0, &[]);
        let mut held = Vec::new();
        if side == Side::Client {
            held.extend(end.open(&request(b"/"), None, b"http", false));
        }
        for _ in 0..random() % 30 {
            let payload: Vec<u8> = (0..random() % 40).map(|_| random() as u8).collect();
            let (kind, flags) = ((random() % 11) as u8, random() as u8);
            frames::put(&mut bytes, kind, flags, random() % 6, &payload);
        }
        for piece in bytes.chunks(random() as usize % 60 + 1) {
            end.receive(piece, NOW);
            while let Some(arrival) = end.accept() {
                let (Arrival::Request(key) | Arrival::TooLarge(key) | Arrival::Malformed(key, _)) =
                    arrival;
                end.respond(key, &response(200), false, false);
                held.push(key);
            }
            if random() % 3 == 0
                && let Some(key) = held.pop()
            {
                end.finish(key, None);
                end.release(key, 0, Code::CANCEL);
            }
            for key in &held {
                let _ = end.poll_head(*key, &cx());
                let _ = end.poll_send(*key, &cx(), b"some", false);
                let mut chunk = Vec::new();
                if end.poll_body(*key, &cx(), &mut chunk) == Poll::Ready(Ok(true)) {
                    end.consumed(*key, chunk.len());
                }
            }
            end.sent(end.output().len());
        }
    }
}

#[test]
fn memory_is_what_waits_and_not_what_went() {
    let options = Options { stream_window: 1 << 20, connection_window: 1 << 20, ..options() };
    let mut both = Both::new(options);
    let (ours, theirs) = both.ask(b"/", true);
    both.server.respond(theirs, &response(200), false, false);
    let block = vec![7; 100_000];
    for _ in 0..300 {
        send(&mut both.server, theirs, &block);
        // Never all of it: the socket takes a little at a time.
        let some = both.server.output().len() * 9 / 10;
        let bytes = both.server.output()[..some].to_vec();
        both.client.receive(&bytes, NOW);
        both.server.sent(some);
        let mut chunk = Vec::new();
        if both.client.poll_body(ours, &cx(), &mut chunk) == Poll::Ready(Ok(true)) {
            both.client.consumed(ours, chunk.len());
        }
        let updates = both.client.output().to_vec();
        both.client.sent(updates.len());
        both.server.receive(&updates, NOW);
    }
    assert!(both.server.memory() < 600 << 10, "{}", both.server.memory());
    assert_eq!(both.server.fault(), None);
}

#[test]
fn answers_that_nobody_reads_end_the_connection() {
    let mut both = Both::new(Options { max_frames: 500, ..options() });
    for _ in 0..1000 {
        let Some(key) = both.client.open(&request(b"/"), None, b"http", true) else { break };
        let bytes = both.client.output().to_vec();
        both.client.sent(bytes.len());
        both.server.receive(&bytes, NOW);
        let Some(Arrival::Request(theirs)) = both.server.accept() else { break };
        both.server.respond(theirs, &response(204), false, true);
        both.server.release(theirs, 0, Code::INTERNAL_ERROR);
        both.client.release(key, 0, Code::CANCEL);
    }
    assert_eq!(both.server.fault().and_then(|fault| fault.flood), Some(Flood::Outbound));
}

#[test]
fn a_window_that_grows_by_settings_lets_what_is_kept_go() {
    let mut both = Both::new(options());
    let mut settings = Vec::new();
    frames::put(&mut settings, frames::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    both.server.receive(&settings, NOW);
    let (ours, theirs) = both.ask(b"/", true);
    both.server.respond(theirs, &response(200), false, false);
    assert_eq!(send(&mut both.server, theirs, b"hello"), 5);
    both.server.finish(theirs, None);
    both.server.release(theirs, 0, Code::INTERNAL_ERROR);
    both.talk();
    assert!(both.received(ours).is_empty());
    settings[14] = 100;
    both.server.receive(&settings, NOW);
    both.talk();
    assert_eq!(both.received(ours), b"hello");
    assert_eq!(both.server.streams(), 0);
}

#[test]
fn a_request_may_go_on_behind_its_answer() {
    let mut both = Both::new(Options { stream_window: 1 << 20, ..options() });
    let mut head = request(b"/");
    head.headers.append(id::CONTENT_LENGTH, b"10");
    let ours = both.client.open(&head, None, b"http", false).unwrap();
    both.talk();
    let Some(Arrival::Request(theirs)) = both.server.accept() else { panic!() };
    both.server.respond(theirs, &response(200), false, false);
    // More than the window takes, so that some is kept when it is let go.
    let block = vec![7; FIRST_WINDOW as usize + 100];
    assert_eq!(send(&mut both.server, theirs, &block), block.len());
    both.server.finish(theirs, None);
    both.server.release(theirs, 0, Code::NO_ERROR);
    send(&mut both.client, ours, b"0123456789");
    both.client.finish(ours, None);
    both.talk();
    assert_eq!(both.received(ours).len(), block.len());
    assert_eq!((both.server.streams(), both.server.fault()), (0, None));
    assert!(matches!(both.client.gone(ours), None | Some(Gone::Reset(Code::NO_ERROR))));
}

#[test]
fn a_host_says_what_is_no_answer() {
    let begins = |frames: &[(u8, u8, &[u8])]| {
        let mut end = Endpoint::new(Side::Client, options(), NOW);
        let mut bytes = Vec::new();
        frames::put(&mut bytes, frames::SETTINGS, 0, 0, &[]);
        let key = end.open(&request(b"/"), None, b"http", true).unwrap();
        for (kind, flags, payload) in frames {
            frames::put(&mut bytes, *kind, *flags, 1, payload);
        }
        end.receive(&bytes, NOW);
        (end.gone(key).is_some(), end.fault().map(|fault| fault.code))
    };
    let head: &[u8] = b"\x88";
    let no_content: &[u8] = b"\x89";
    assert_eq!(begins(&[(frames::HEADERS, 5, head)]), (false, None));
    let early = begins(&[(frames::DATA, 0, b"x"), (frames::HEADERS, 4, head)]);
    assert_eq!(early, (true, Some(Code::PROTOCOL_ERROR)));
    assert_eq!(begins(&[(frames::HEADERS, 4, no_content), (frames::DATA, 1, b"x")]), (true, None));
    assert_eq!(begins(&[(frames::HEADERS, 4, no_content), (frames::DATA, 1, b"")]), (false, None));
    let twice = begins(&[(frames::HEADERS, 5, head), (frames::HEADERS, 5, head)]);
    assert_eq!(twice, (false, Some(Code::STREAM_CLOSED)));
}

#[test]
fn a_late_answer_to_what_was_given_up_is_passed_over() {
    let mut both = Both::new(options());
    let (ours, theirs) = both.ask(b"/", true);
    both.client.release(ours, 0, Code::CANCEL);
    both.server.respond(theirs, &response(200), false, false);
    both.talk();
    assert_eq!(both.client.seen.resets_out, 1);
    assert_eq!((both.client.fault(), both.server.fault()), (None, None));
}

#[test]
fn a_slot_serves_one_stream_at_a_time() {
    let mut both = Both::new(options());
    let mut settings = Vec::new();
    frames::put(&mut settings, frames::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    both.server.receive(&settings, NOW);
    // An answer that waits for the window when its request is let go, with and without its end.
    for (round, end) in [false, true].into_iter().enumerate() {
        let (ours, theirs) = both.ask(b"/early", end);
        both.server.respond(theirs, &response(200), false, false);
        assert_eq!(send(&mut both.server, theirs, b"no"), 2);
        both.server.finish(theirs, None);
        both.server.release(theirs, 0, Code::NO_ERROR);
        assert_eq!(both.server.streams(), 1, "{round}");
        let mut update = Vec::new();
        frames::put(&mut update, frames::WINDOW_UPDATE, 0, theirs.id(), &[0, 0, 0, 9]);
        both.server.receive(&update, NOW);
        both.talk();
        assert_eq!((both.received(ours), both.server.streams()), (b"no".to_vec(), 0));
        both.client.release(ours, 0, Code::CANCEL);
        both.talk();
    }
    let keys: Vec<_> = (0..8).map(|_| both.ask(b"/", false)).collect();
    for (n, (ours, _)) in keys.iter().enumerate() {
        assert_eq!(send(&mut both.client, *ours, &[n as u8; 5]), 5);
    }
    both.talk();
    for (n, (_, theirs)) in keys.iter().enumerate() {
        let mut body = Vec::new();
        let polled = both.server.poll_body(*theirs, &cx(), &mut body);
        assert_eq!((polled, body), (Poll::Ready(Ok(true)), vec![n as u8; 5]));
    }
}

/// Random numbers, the same each time.
fn randomly() -> impl FnMut(u32) -> u32 {
    let mut seed = 7u64;
    move |most| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 8) as u32 % most
    }
}

/// A client that does what it may, in any order.
#[derive(Default)]
struct Client {
    next: u32,
    open: Vec<u32>,
    bytes: Vec<u8>,
}

impl Client {
    fn act(&mut self, random: &mut impl FnMut(u32) -> u32) {
        let bytes = &mut self.bytes;
        let end = u8::from(random(3) == 0);
        let at = random(self.open.len().max(1) as u32) as usize;
        match (random(12), self.open.get(at).copied()) {
            (0..=3, _) => {
                // POST / by http at "a", from HPACK's static table.
                let stream = 1 + 2 * self.next;
                frames::put(bytes, frames::HEADERS, 4 | end, stream, b"\x83\x84\x86\x41\x01a");
                self.next += 1;
                if end == 0 {
                    self.open.push(stream);
                }
            }
            (4 | 5, Some(stream)) => {
                let body = vec![stream as u8; random(300) as usize + 1];
                frames::put(bytes, frames::DATA, end, stream, &body);
                if end == 1 {
                    self.open.swap_remove(at);
                }
            }
            (6 | 7, Some(_)) => {
                let stream = 1 + 2 * random(self.next);
                let increment = (random(2000) + 1).to_be_bytes();
                frames::put(bytes, frames::WINDOW_UPDATE, 0, stream, &increment);
            }
            (8, _) => {
                let increment = (random(2000) + 1).to_be_bytes();
                frames::put(bytes, frames::WINDOW_UPDATE, 0, 0, &increment);
            }
            (9, _) => {
                let size = [0u32, 1, 100, 65_535, 1 << 20][random(5) as usize].to_be_bytes();
                let setting = [&[0, 4][..], &size[..]].concat();
                frames::put(bytes, frames::SETTINGS, 0, 0, &setting);
            }
            (10, Some(stream)) => {
                frames::put(bytes, frames::RST_STREAM, 0, stream, &[0, 0, 0, 8]);
                self.open.swap_remove(at);
            }
            _ => frames::put(bytes, frames::PING, 0, 0, b"eightyes"),
        }
    }
}

#[test]
fn whatever_a_client_and_its_handlers_do_no_stream_is_mixed_up_or_left() {
    let mut random = randomly();
    let (mut served, mut whole) = (0, 0);
    for _ in 0..4000 {
        let mut options = options();
        options.guard = GuardLimits {
            window_updates_per_data: 10_000,
            empty_frames: 10_000,
            reset_burst: 10_000,
            ..GuardLimits::default()
        };
        let mut end = Endpoint::new(Side::Server, options, NOW);
        let mut client = Client { bytes: PREFACE.to_vec(), ..Client::default() };
        frames::put(&mut client.bytes, frames::SETTINGS, 0, 0, &[]);
        let mut held: Vec<(Key, bool)> = Vec::new();
        for _ in 0..random(120) {
            client.act(&mut random);
            if random(3) == 0 {
                end.receive(&std::mem::take(&mut client.bytes), NOW);
            }
            while let Some(arrival) = end.accept() {
                let Arrival::Request(key) = arrival else { panic!("{arrival:?}") };
                assert!(end.take_head(key).is_some());
                held.push((key, false));
            }
            if !held.is_empty() {
                let at = random(held.len() as u32) as usize;
                let (key, responded) = held[at];
                served += 1;
                match random(6) {
                    0 => {
                        end.respond(key, &response(200), false, false);
                        held[at].1 = true;
                    }
                    1 if responded => drop(end.poll_send(key, &cx(), &[9; 500], random(4) == 0)),
                    2 if responded => end.finish(key, None),
                    3 => {
                        end.release(key, 0, Code::NO_ERROR);
                        held.swap_remove(at);
                    }
                    _ => {
                        let mut chunk = Vec::new();
                        if end.poll_body(key, &cx(), &mut chunk) == Poll::Ready(Ok(true)) {
                            assert!(chunk.iter().all(|byte| *byte == key.id() as u8));
                            end.consumed(key, chunk.len());
                        }
                    }
                }
            }
            end.sent(random(end.output().len() as u32 + 1) as usize);
        }
        for (key, _) in held.drain(..) {
            end.release(key, 0, Code::CANCEL);
        }
        let limit = std::time::Duration::ZERO;
        end.flushing_since(NOW);
        end.give_up_flushing(NOW, limit);
        if end.fault().is_none() {
            assert_eq!((end.streams(), end.kept, end.flushing), (0, 0, 0));
            whole += 1;
        }
    }
    assert!(served > 50_000 && whole > 1000, "{served} {whole}");
}

/// The peer sets the window of each stream.
fn set_window(end: &mut Endpoint, value: u32) {
    let mut bytes = Vec::new();
    let payload = [&[0, 4][..], &value.to_be_bytes()].concat();
    frames::put(&mut bytes, frames::SETTINGS, 0, 0, &payload);
    end.receive(&bytes, NOW);
}

fn update(end: &mut Endpoint, stream: u32, by: u32) {
    let mut bytes = Vec::new();
    frames::put(&mut bytes, frames::WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    end.receive(&bytes, NOW);
}

#[test]
fn who_was_held_up_and_is_kept_goes_on() {
    let mut both = Both::new(options());
    set_window(&mut both.server, 0);
    let keys: Vec<_> = (0..17).map(|_| both.ask(b"/", true)).collect();
    for (_, theirs) in &keys {
        both.server.respond(*theirs, &response(200), false, false);
    }
    let block = vec![7; 64 << 10];
    for (_, theirs) in &keys[..16] {
        assert_eq!(send(&mut both.server, *theirs, &block), block.len());
    }
    let (ours, last) = keys[16];
    assert_eq!(send(&mut both.server, last, b"hello"), 0, "held up");
    update(&mut both.server, keys[0].1.id(), 100);
    assert_eq!(send(&mut both.server, last, b"hello"), 5, "kept");
    both.server.finish(last, None);
    both.server.release(last, 0, Code::NO_ERROR);
    update(&mut both.server, last.id(), 1000);
    both.talk();
    assert_eq!(both.received(ours), b"hello");
}

#[test]
fn what_a_goaway_said_once_stays_true() {
    let mut both = Both::new(options());
    both.ask(b"/", true);
    both.server.leave();
    both.server.tell();
    // Opened before the client heard of it.
    for _ in 0..4 {
        both.client.open(&request(b"/late"), None, b"http", true).unwrap();
    }
    let bytes = both.client.output().to_vec();
    both.client.sent(bytes.len());
    both.server.receive(&bytes, NOW);
    let mut bad = Vec::new();
    frames::put(&mut bad, frames::PING, 0, 1, b"eightyes");
    both.server.receive(&bad, NOW);
    assert!(both.server.fault().is_some());
    let bytes = both.server.output().to_vec();
    both.server.sent(bytes.len());
    let mut lasts = Vec::new();
    let mut rest = &bytes[..];
    while rest.len() >= 9 {
        let n = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        if rest[3] == frames::GOAWAY {
            lasts.push(frames::word(&rest[9..]).unwrap());
        }
        rest = &rest[9 + n..];
    }
    assert!(lasts.is_sorted_by(|a, b| a >= b), "{lasts:?}");
}

#[test]
fn trailers_too_large_cost_a_reset() {
    let mut options = options();
    options.guard.reset_burst = 10;
    options.guard.reset_rate = 0;
    let mut both = Both::new(options);
    let mut fields = Headers::new();
    (0..40).for_each(|_| fields.append(&b"x-a"[..], &[b'x'; 1900]));
    for _ in 0..200 {
        let Some(key) = both.client.open(&request(b"/"), None, b"http", false) else { break };
        both.client.finish(key, Some(&fields));
        both.talk();
        while let Some(Arrival::Request(key)) = both.server.accept() {
            both.server.release(key, 0, Code::CANCEL);
        }
        both.client.release(key, 0, Code::CANCEL);
        both.talk();
    }
    assert!(both.server.fault().is_some(), "{:?}", both.server.seen);
}

#[test]
fn the_line_is_not_full_of_those_that_are_over() {
    let mut options = options();
    options.guard.reset_burst = 1_000_000;
    let mut both = Both::new(options);
    let (_, first) = both.ask(b"/", true);
    both.server.respond(first, &response(200), false, false);
    let block = vec![7; 100_000];
    both.server.window = 0;
    send(&mut both.server, first, &block);
    for _ in 0..1000 {
        let (ours, theirs) = both.ask(b"/", true);
        both.server.respond(theirs, &response(200), false, false);
        send(&mut both.server, theirs, b"x");
        both.client.release(ours, 0, Code::CANCEL);
        both.talk();
        both.server.release(theirs, 0, Code::CANCEL);
    }
    assert!(both.server.line.len() < 30);
}
