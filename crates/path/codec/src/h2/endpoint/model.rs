//! Two ends whose holders of streams do what they may, in any order, over a transport that takes what it
//! likes. However it goes: messages come whole, nobody sleeps for ever, and nothing is left behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Wake, Waker};

use dragoman_types::{Headers, id};

use super::tests::{NOW, options, request, response};
use super::*;
use crate::h2::stream::Key;

struct Random(u64);

impl Random {
    fn below(&mut self, most: u32) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) as u32 % most) as usize
    }

    fn one_in(&mut self, most: u32) -> bool {
        self.below(most) == 0
    }

    fn of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len() as u32)]
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a message is that a holder sends.
#[derive(Clone, Copy)]
struct Plan {
    length: usize,
    /// Its length is told in its head.
    told: bool,
    trailers: bool,
}

impl Plan {
    fn new(size: u32, random: &mut Random) -> Plan {
        let length = if random.one_in(5) { 0 } else { random.below(size) };
        let told = length > 0 && random.one_in(3);
        Plan { length, told, trailers: !told && random.one_in(3) }
    }

    fn mark(&self, headers: &mut Headers, stream: u32) {
        headers.append(&b"x-stream"[..], stream.to_string().as_bytes());
        if self.told {
            headers.append(id::CONTENT_LENGTH, self.length.to_string().as_bytes());
        }
    }
}

fn assert_marked(headers: &Headers, stream: u32) {
    assert_eq!(headers.get(&b"x-stream"[..]), Some(stream.to_string().as_bytes()), "mixed up");
}

/// A byte of a stream's body.
fn byte(stream: u32, side: Side, at: usize) -> u8 {
    let whose = if side == Side::Client { 101 } else { 0 };
    (at * 7 + (at >> 8) * 3 + stream as usize * 13 + whose) as u8
}

/// Who holds a stream at one end.
struct Holder {
    key: Key,
    flag: Arc<Flag>,
    plan: Plan,
    /// Of our message: its head is out, so many bytes of its body, all.
    begun: bool,
    sent: usize,
    ended: bool,
    /// Of theirs: its head is here, so many bytes of its body, of which some aren't done with, all.
    answered: bool,
    got: usize,
    unread: usize,
    over: bool,
    /// What it waits for until it is woken.
    no_read: bool,
    no_write: bool,
}

impl Holder {
    fn new(key: Key, side: Side, plan: Plan) -> Holder {
        let (begun, answered) = (side == Side::Client, side == Side::Server);
        let flag = Arc::default();
        let (sent, ended, got, unread, over) = (0, false, 0, 0, false);
        let (no_read, no_write) = (false, false);
        Holder {
            key,
            flag,
            plan,
            begun,
            sent,
            ended,
            answered,
            got,
            unread,
            over,
            no_read,
            no_write,
        }
    }

    fn look_at_flag(&mut self) {
        if self.flag.0.swap(false, Ordering::Relaxed) {
            (self.no_read, self.no_write) = (false, false);
        }
    }
}

/// What became of a message: (length, whether with trailers) when all of it was sent, and taken.
#[derive(Default, Debug)]
struct Message {
    sent: Option<(usize, bool)>,
    taken: Option<(usize, bool)>,
    /// An end let go of the stream before.
    cut: bool,
}

#[derive(Default)]
struct Log(BTreeMap<(u32, Side), Message>);

impl Log {
    fn of(&mut self, stream: u32, from: Side) -> &mut Message {
        self.0.entry((stream, from)).or_default()
    }

    fn cut(&mut self, stream: u32) {
        self.of(stream, Side::Client).cut = true;
        self.of(stream, Side::Server).cut = true;
    }
}

struct End {
    side: Side,
    peer: Side,
    end: Endpoint,
    held: Vec<Holder>,
    wire: Vec<u8>,
}

impl End {
    fn new(side: Side, options: Options) -> End {
        let peer = if side == Side::Client { Side::Server } else { Side::Client };
        let end = Endpoint::new(side, options, NOW);
        End { side, peer, end, held: Vec::new(), wire: Vec::new() }
    }

    /// The transport takes some of what waits.
    fn flush(&mut self, most: usize) -> usize {
        let taken = self.end.output().len().min(most);
        self.wire.extend_from_slice(&self.end.output()[..taken]);
        self.end.sent(taken);
        taken
    }

    /// Some of it arrives.
    fn deliver(&mut self, to: &mut End, most: usize) -> usize {
        let piece: Vec<u8> = self.wire.drain(..self.wire.len().min(most)).collect();
        to.end.receive(&piece, NOW);
        piece.len()
    }

    fn open(&mut self, plan: Plan, log: &mut Log, random: &mut Random) {
        let mut head = request(b"/");
        plan.mark(&mut head.headers, self.end.next);
        let bare = plan.length == 0 && !plan.trailers && random.one_in(2);
        let key = self.end.open(&head, None, b"http", bare).unwrap();
        let mut holder = Holder::new(key, self.side, plan);
        holder.ended = bare;
        self.held.push(holder);
        if bare {
            log.of(key.id(), self.side).sent = Some((0, false));
        }
    }

    fn accept(&mut self, size: u32, random: &mut Random) -> usize {
        let mut taken = 0;
        while let Some(arrival) = self.end.accept() {
            let Arrival::Request(key) = arrival else { panic!("{arrival:?}") };
            let head = self.end.take_head(key).unwrap();
            assert_marked(&head.headers, key.id());
            self.end.give_back(head);
            self.held.push(Holder::new(key, self.side, Plan::new(size, random)));
            taken += 1;
        }
        taken
    }

    /// A step of what a holder does to read. Says whether there was one.
    fn read(&mut self, at: usize, log: &mut Log, random: &mut Random) -> bool {
        let End { end, held, peer, .. } = self;
        let holder = &mut held[at];
        let (key, stream) = (holder.key, holder.key.id());
        let waker = Waker::from(holder.flag.clone());
        let cx = Context::from_waker(&waker);
        if holder.over {
            return false;
        }
        if holder.unread > 0 {
            let whole = random.one_in(2);
            let some = if whole { holder.unread } else { 1 + random.below(holder.unread as u32) };
            end.consumed(key, some);
            holder.unread -= some;
            return true;
        }
        if !holder.answered {
            match end.poll_head(key, &cx) {
                Poll::Ready(Ok(head)) => {
                    assert_marked(&head.headers, stream);
                    holder.answered = !head.is_interim();
                    end.give_back(head);
                }
                Poll::Ready(Err(_)) => holder.over = true,
                Poll::Pending => holder.no_read = true,
            }
            return !holder.no_read;
        }
        let mut chunk = Vec::new();
        match end.poll_body(key, &cx, &mut chunk) {
            Poll::Ready(Ok(true)) => {
                let right = |(n, is): (usize, &u8)| *is == byte(stream, *peer, holder.got + n);
                assert!(chunk.iter().enumerate().all(right), "a body is mixed up");
                holder.got += chunk.len();
                holder.unread = chunk.len();
            }
            Poll::Ready(Ok(false)) => {
                let trailers = end.take_trailers(key);
                trailers.iter().for_each(|fields| assert_marked(fields, stream));
                log.of(stream, *peer).taken = Some((holder.got, trailers.is_some()));
                holder.over = true;
            }
            Poll::Ready(Err(_)) => holder.over = true,
            Poll::Pending => holder.no_read = true,
        }
        !holder.no_read
    }

    /// A step of what a holder does to write. Says whether there was one.
    fn write(&mut self, at: usize, log: &mut Log, random: &mut Random) -> bool {
        let End { end, held, side, .. } = self;
        let holder = &mut held[at];
        let (key, stream, plan) = (holder.key, holder.key.id(), holder.plan);
        if holder.ended {
            return false;
        }
        if end.gone(key).is_some() {
            holder.ended = true;
            return true;
        }
        if !holder.begun {
            let status = random.of(&[103, 200, 200, 200]);
            let mut head = response(status);
            holder.begun = status >= 200;
            match holder.begun {
                true => plan.mark(&mut head.headers, stream),
                false => Plan { told: false, ..plan }.mark(&mut head.headers, stream),
            }
            let bare = plan.length == 0 && !plan.trailers && random.one_in(2);
            holder.ended = holder.begun && bare;
            end.respond(key, &head, false, holder.ended);
        } else if holder.sent < plan.length {
            let most = random.of(&[1, 100, 5000, 20_000, 100_000]);
            let to = plan.length.min(holder.sent + most);
            let data: Vec<u8> = (holder.sent..to).map(|at| byte(stream, *side, at)).collect();
            let last = plan.told && to == plan.length;
            let waker = Waker::from(holder.flag.clone());
            match end.poll_send(key, &Context::from_waker(&waker), &data, last) {
                Poll::Ready(Ok(taken)) => {
                    assert!(taken > 0);
                    holder.sent += taken;
                    holder.ended = last && holder.sent == plan.length;
                }
                Poll::Ready(Err(_)) => {
                    holder.ended = true;
                    return true;
                }
                Poll::Pending => holder.no_write = true,
            }
        } else {
            let mut fields = Headers::new();
            Plan { told: false, ..plan }.mark(&mut fields, stream);
            end.finish(key, plan.trailers.then_some(&fields));
            holder.ended = true;
        }
        if holder.ended {
            log.of(stream, *side).sent = Some((plan.length, plan.trailers));
        }
        !holder.no_write
    }

    fn release(&mut self, at: usize, log: &mut Log) {
        let holder = self.held.swap_remove(at);
        let (key, stream) = (holder.key, holder.key.id());
        // A server may let go of what it has answered; the answer still comes.
        match (holder.ended, holder.over, self.side) {
            // The answer is here, or the request wasn't looked at: what of it didn't go yet is nobody's.
            (true, true, Side::Client) => {
                let message = log.of(stream, Side::Client);
                message.cut |= message.taken.is_none();
            }
            (true, true, Side::Server) => {}
            (true, false, Side::Server) => log.of(stream, Side::Client).cut = true,
            _ => log.cut(stream),
        }
        let code = match self.side {
            Side::Client => Code::CANCEL,
            Side::Server if holder.ended => Code::NO_ERROR,
            Side::Server => Code::INTERNAL_ERROR,
        };
        self.end.release(key, holder.unread, code);
    }

    /// One of the holders does something.
    fn act(&mut self, cutting: usize, log: &mut Log, random: &mut Random) {
        if self.held.is_empty() {
            return;
        }
        let at = random.below(self.held.len() as u32);
        let holder = &mut self.held[at];
        holder.look_at_flag();
        let (key, done) = (holder.key, holder.ended && holder.over);
        let early = self.side == Side::Server && holder.ended;
        match random.below(100) {
            n if n < cutting => self.release(at, log),
            n if n < 2 * cutting && random.one_in(3) => {
                log.cut(key.id());
                self.end.reset(key, Code::CANCEL);
            }
            n if n < 50 => drop(self.read(at, log, random)),
            _ if (done && random.one_in(3)) || (early && random.one_in(10)) => {
                self.release(at, log)
            }
            _ => drop(self.write(at, log, random)),
        }
    }

    /// Everybody does what he was woken for, and nothing else. Says how much that was.
    fn act_all(&mut self, log: &mut Log, random: &mut Random) -> usize {
        let mut done = 0;
        for at in (0..self.held.len()).rev() {
            self.held[at].look_at_flag();
            done += usize::from(!self.held[at].no_read && self.read(at, log, random));
            done += usize::from(!self.held[at].no_write && self.write(at, log, random));
            if self.held[at].ended && self.held[at].over {
                self.release(at, log);
                done += 1;
            }
        }
        done
    }

    fn change_settings(&mut self, window: u32, random: &mut Random) {
        let mut payload = Vec::new();
        for (name, value) in [(1, random.of(&[0, 60, 200, 4096])), (4, window)] {
            payload.extend_from_slice(&u16::to_be_bytes(name));
            payload.extend_from_slice(&u32::to_be_bytes(value));
        }
        self.end.output.frame(frames::SETTINGS, 0, 0, &payload);
    }

    fn assert_nothing_left(&mut self) {
        let end = &mut self.end;
        assert_eq!((end.streams(), end.kept, end.flushing, self.held.len()), (0, 0, 0, 0));
        let (left, used) = end.credit.left_and_used();
        assert_eq!(left + used, i64::from(end.options.connection_window));
    }
}

/// Says how many messages there were, and how many of them came whole.
fn run(random: &mut Random) -> (usize, usize) {
    let size = random.of(&[300, 5000, 40_000, 150_000]);
    let window = random.of(&[100, 2000, 65_535, 200_000]);
    let mut options = Options {
        max_streams: random.of(&[1, 3, 30, 100]),
        stream_window: window,
        connection_window: random.of(&[65_535, 65_535, 100_000, 1 << 20]),
        ..options()
    };
    options.guard.reset_burst = 1_000_000;
    let (mut client, mut server) =
        (End::new(Side::Client, options), End::new(Side::Server, options));
    // Nobody opens a stream before he knows the other's SETTINGS.
    client.flush(usize::MAX);
    client.deliver(&mut server, usize::MAX);
    server.flush(usize::MAX);
    server.deliver(&mut client, usize::MAX);
    let mut log = Log::default();
    let cutting = random.of(&[0, 1, 8]);
    let slow = random.one_in(2);
    for _ in 0..random.below(3000) {
        let flushed = if slow { random.below(3000) } else { usize::MAX };
        let delivered = random.of(&[30, 3000, 1 << 20]);
        let arrives = random.below(delivered);
        let windows = [0, 1, window.min(500), window / 2, window];
        match random.below(16) {
            0 | 1 if client.end.may_open() && client.end.streams() < client.end.most_streams() => {
                client.open(Plan::new(size, random), &mut log, random);
            }
            2 => drop(client.flush(flushed)),
            3 => drop(server.flush(flushed)),
            4 => drop(client.deliver(&mut server, arrives)),
            5 => drop(server.deliver(&mut client, arrives)),
            6 if random.one_in(4) => client.change_settings(random.of(&windows), random),
            7 if random.one_in(4) => server.change_settings(random.of(&windows), random),
            8 if random.one_in(200) => server.end.leave(),
            9 => drop(server.accept(size, random)),
            n if n % 2 == 0 => client.act(cutting, &mut log, random),
            _ => server.act(cutting, &mut log, random),
        }
    }
    client.change_settings(window, random);
    server.change_settings(window, random);
    loop {
        let taken = random.of(&[5000, usize::MAX]);
        let moved = server.accept(size, random)
            + client.act_all(&mut log, random)
            + server.act_all(&mut log, random)
            + client.flush(taken)
            + server.flush(taken)
            + client.deliver(&mut server, taken)
            + server.deliver(&mut client, taken);
        assert_eq!((client.end.fault(), server.end.fault()), (None, None));
        if moved == 0 {
            break;
        }
    }
    client.assert_nothing_left();
    server.assert_nothing_left();
    // What one may still send is what the other still takes.
    assert_eq!(client.end.window, server.end.credit.left_and_used().0);
    assert_eq!(server.end.window, client.end.credit.left_and_used().0);
    for (of, message) in &log.0 {
        let Message { sent, taken, cut } = message;
        assert!(taken.is_none() || taken == sent, "{message:?}");
        assert!(sent.is_none() || taken.is_some() || *cut, "lost: {of:?} {message:?}");
    }
    let whole = log.0.values().filter(|message| message.taken.is_some());
    (log.0.len(), whole.count())
}

#[test]
#[expect(clippy::print_stdout, reason = "tells which seed failed")]
fn whatever_both_ends_do_messages_come_whole_and_nothing_is_left() {
    let (mut all, mut whole) = (0, 0);
    for seed in 1..=25u64 {
        println!("seed {seed}");
        let (messages, came) = run(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        (all, whole) = (all + messages, whole + came);
    }
    assert!(whole * 4 > all, "{whole} of {all} came whole");
}
