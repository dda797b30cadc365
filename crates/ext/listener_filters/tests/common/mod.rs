//! A filter under test, and what must hold of every filter however its bytes come.
#![allow(dead_code, unreachable_pub)]

use std::sync::Arc;

use dragoman_listener::{Arrival, Inspected, ListenerFilter, Means, Progress};
use dragoman_proto::pb::google::protobuf::{Any, BoolValue, UInt32Value};
use dragoman_proto::{Message, Name};
use dragoman_stats::{Registry, Value};
use dragoman_types::{Address, Faults};

pub struct Setup {
    pub registry: Registry,
    pub filter: Arc<dyn ListenerFilter>,
}

pub fn any<M: Message + Name>(message: &M) -> Any {
    let type_url = format!("type.googleapis.com/{}", M::full_name());
    Any { type_url, value: message.encode_to_vec() }
}

fn try_compile<M: Message + Name>(message: &M) -> (Option<Setup>, Faults) {
    let registry = Registry::new(1);
    let mut faults = Faults::new();
    let compile = dragoman_listener_filters::find(&M::full_name()).expect("a row");
    let filter = compile(&any(message), &Means { registry: &registry }, &mut faults);
    (filter.map(|filter| Setup { registry, filter }), faults)
}

#[track_caller]
pub fn compile<M: Message + Name>(message: &M) -> Setup {
    let (setup, faults) = try_compile(message);
    assert_eq!(faults.into_vec(), []);
    setup.expect("compiled")
}

/// The only fault of a message: path and code.
#[track_caller]
pub fn refused<M: Message + Name>(message: &M, path: &str, code: &str) {
    let (_, faults) = try_compile(message);
    let found = faults.into_vec();
    let found: Vec<_> = found.iter().map(|fault| (&*fault.path, fault.code)).collect();
    assert_eq!(found, [(path, code)]);
}

pub fn yes() -> Option<BoolValue> {
    Some(BoolValue { value: true })
}

pub fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

pub fn ip(text: &str) -> Address {
    Address::Ip(text.parse().unwrap())
}

pub fn arrival() -> Arrival {
    Arrival::new(ip("1.1.1.1:443"), ip("9.9.9.9:999"))
}

pub const DONE: Inspected = Inspected::Done { consumed: 0 };

impl Setup {
    /// Shows all bytes at once.
    pub fn ask(&self, data: &[u8]) -> (Inspected, Arrival) {
        let mut arrival = arrival();
        let answer = self.filter.inspect(data, &mut Progress::default(), &mut arrival, 0);
        (answer, arrival)
    }

    /// Shows the bytes one by one, and again cut in two at each place. The answers are the same as for
    /// all at once, `More` changes nothing, and what `More` says is true. Gives the answer.
    #[track_caller]
    pub fn ask_every_way(&self, data: &[u8]) -> (Inspected, Arrival) {
        let whole = self.ask(data);
        let (mut seen, mut progress, mut wanted) = (arrival(), Progress::default(), 0);
        for end in 0..=data.len() {
            let answer = self.filter.inspect(&data[..end], &mut progress, &mut seen, 0);
            let Inspected::More { until } = answer else {
                assert!(end >= wanted, "settled at {end}, before {wanted}");
                assert_eq!((answer, &seen), (whole.0, &whole.1), "at {end}");
                break;
            };
            assert!(until > end && until <= self.filter.max_bytes(), "{until} after {end}");
            assert_eq!(seen, arrival(), "changed at {end}");
            wanted = wanted.max(until);
        }
        for cut in 0..data.len() {
            let (mut seen, mut progress) = (arrival(), Progress::default());
            let mut answer = self.filter.inspect(&data[..cut], &mut progress, &mut seen, 0);
            if matches!(answer, Inspected::More { .. }) {
                answer = self.filter.inspect(data, &mut progress, &mut seen, 0);
            }
            assert_eq!((answer, &seen), (whole.0, &whole.1), "cut at {cut}");
        }
        whole
    }

    /// Changes, cuts and doubles bytes of `samples`, and looks at what comes of it in three reads.
    pub fn survive_mutations(&self, samples: &[&[u8]]) {
        let mut random = fastrand::Rng::with_seed(1);
        for round in 0..20_000 {
            let mut data = samples[round % samples.len()].to_vec();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..data.len());
                match random.u8(..5) {
                    0 => data[at] = random.u8(..),
                    1 => data[at] = [0, 1, 3, 16, 22, 0x7f, 0x80, 0xff][random.usize(..8)],
                    2 => data.truncate(at + 1),
                    3 => data.insert(at, random.u8(..)),
                    _ => data.extend_from_within(at..),
                }
            }
            let (mut seen, mut progress) = (arrival(), Progress::default());
            let mut ends = [random.usize(..=data.len()), random.usize(..=data.len()), data.len()];
            ends.sort_unstable();
            for end in ends {
                let answer = self.filter.inspect(&data[..end], &mut progress, &mut seen, 0);
                match answer {
                    Inspected::More { until } => assert!(until > end, "{until} {end} {data:?}"),
                    Inspected::Done { consumed } => {
                        assert!(consumed <= end, "{data:?}");
                        break;
                    }
                    Inspected::Close(_) => break,
                }
            }
        }
    }

    /// The counters that aren't zero, by name.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let samples = self.registry.snapshot().into_iter();
        let counts = samples.filter_map(|sample| match sample.value {
            Value::Counter { value, .. } if value > 0 => Some((sample.name, value)),
            _ => None,
        });
        counts.collect()
    }

    /// After one answer: these counters are one and all others zero.
    #[track_caller]
    pub fn counted(&self, names: &[&str]) {
        let counts = self.counts();
        let found: Vec<_> = counts.iter().map(|(name, value)| (&**name, *value)).collect();
        let wanted: Vec<_> = names.iter().map(|name| (*name, 1)).collect();
        assert_eq!(found, wanted);
    }
}
