//! The reader: sums shards, keeps what was at the last flush and at the last reset, and lists all
//! metrics by name. Writers never wait for it; what they write meanwhile is seen now or next time.
//!
//! Histograms are shown as of the last flush, counters and gauges as of now: that is Envoy's way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::cell::CODE_SLOTS;
use crate::registry::{Readable, lock};
use crate::{CellRef, Distribution, Field, Kind, Registry, Summary};

/// One metric as read.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The full name.
    pub name: String,
    /// True once it was written, even if it is zero now.
    pub used: bool,
    /// What it shows.
    pub value: Value,
}

/// What a metric shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Counted since the start or the last reset, and between the last two flushes.
    Counter {
        /// Since the start or the last reset.
        value: u64,
        /// Between the last two flushes; resets do not touch it.
        interval: u64,
    },
    /// The sum of the shards now. A sum read while a shard is behind may be less than zero: it is
    /// shown as zero.
    Gauge(u64),
    /// As of the last flush.
    Histogram(Arc<Summary>),
    /// A text.
    Text(String),
}

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Value::Counter { .. } => 0,
            Value::Gauge(_) => 1,
            Value::Histogram(_) => 2,
            Value::Text(_) => 3,
        }
    }

    /// Adds a value of the same kind; false if the kinds differ.
    fn absorb(&mut self, other: &Value) -> bool {
        match (self, other) {
            (Value::Counter { value, interval }, Value::Counter { value: v, interval: i }) => {
                *value += v;
                *interval += i;
            }
            (Value::Gauge(value), Value::Gauge(v)) => *value += v,
            (Value::Histogram(value), Value::Histogram(v)) => *value = Arc::new(value.plus(v)),
            _ => return false,
        }
        true
    }
}

/// What the reader remembers of a counter.
#[derive(Debug, Default, Clone, Copy)]
struct Mark {
    /// Count at the last reset.
    reset: u64,
    /// Count at the last flush.
    flushed: u64,
    /// Growth between the last two flushes.
    interval: u64,
}

impl Mark {
    fn flush(&mut self, count: u64) {
        self.interval = count - self.flushed;
        self.flushed = count;
    }

    fn show(self, count: u64) -> Value {
        Value::Counter { value: count - self.reset, interval: self.interval }
    }
}

/// A scope's names and what the reader remembers of it.
pub(crate) struct History {
    prefix: Arc<str>,
    fields: &'static [Field],
    /// Fields by name, so that a scope's samples come sorted.
    order: Box<[u16]>,
    state: Mutex<State>,
}

struct State {
    counters: Vec<Mark>,
    /// By field and slot; only codes that were seen.
    codes: BTreeMap<(usize, usize), Mark>,
    histograms: BTreeMap<usize, Arc<Summary>>,
}

/// The sum of one field over the shards.
#[derive(Default)]
struct Total {
    sum: i64,
    used: bool,
    /// Codes that were seen and what is derived from them, by slot.
    codes: Vec<u64>,
}

/// Slots after the codes' own: one a class, then all.
const CLASS_SLOT: usize = CODE_SLOTS;
const ALL_SLOT: usize = CODE_SLOTS + 5;

impl History {
    pub(crate) fn new(prefix: Arc<str>, fields: &'static [Field]) -> Self {
        let mut order: Box<[u16]> = (0..fields.len() as u16).collect();
        order.sort_by_key(|&at| fields[usize::from(at)].name);
        let histograms = fields.iter().enumerate().filter_map(|(at, field)| match field.kind {
            Kind::Histogram(unit) => Some((at, Arc::new(Summary::empty(unit)))),
            _ => None,
        });
        let state = State {
            counters: vec![Mark::default(); fields.len()],
            codes: BTreeMap::new(),
            histograms: histograms.collect(),
        };
        Self { prefix, fields, order, state: Mutex::new(state) }
    }

    fn name(&self, field: &str) -> String {
        let mut name = String::with_capacity(self.prefix.len() + field.len() + 9);
        name.push_str(&self.prefix);
        name.push_str(field);
        name
    }
}

impl Registry {
    /// All metrics by name.
    pub fn snapshot(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for scope in self.listed() {
            read(&*scope, &mut samples);
        }
        for (name, text) in &lock(&self.index).texts {
            let value = Value::Text(text.clone());
            samples.push(Sample { name: name.clone(), used: true, value });
        }
        // Scopes come by prefix and fields by name: nearly sorted, which this sort makes use of.
        samples.sort_by(|a, b| (&a.name, a.value.rank()).cmp(&(&b.name, b.value.rank())));
        samples.dedup_by(|next, kept| {
            let same = next.name == kept.name && kept.value.absorb(&next.value);
            kept.used |= same && next.used;
            same
        });
        samples
    }

    /// Ends an interval: what is read until the next flush is the interval ended now.
    pub fn flush(&self) {
        for scope in self.listed() {
            flush(&*scope);
        }
    }

    /// Counters start from zero again. Histograms, gauges and intervals go on.
    pub fn reset_counters(&self) {
        for scope in self.listed() {
            for_each_mark(&*scope, |mark, count| mark.reset = count);
        }
    }
}

fn totals(scope: &dyn Readable) -> Vec<Total> {
    let mut totals: Vec<Total> = Vec::new();
    totals.resize_with(scope.history().fields.len(), Total::default);
    scope.visit(&mut |at, cell| {
        let total = &mut totals[at];
        match cell {
            CellRef::Counter(counter) => {
                total.sum += counter.value() as i64;
                total.used |= counter.used();
            }
            CellRef::Gauge(gauge) => {
                total.sum += gauge.value();
                total.used |= gauge.used();
            }
            CellRef::Codes(codes) if codes.used() => {
                total.codes.resize(ALL_SLOT + 1, 0);
                codes.add_to(&mut total.codes[..CODE_SLOTS]);
            }
            CellRef::Codes(_) | CellRef::Histogram(_) => {}
        }
    });
    for total in totals.iter_mut().filter(|total| !total.codes.is_empty()) {
        for class in 0..5 {
            total.codes[CLASS_SLOT + class] = total.codes[class * 100..][..100].iter().sum();
        }
        total.codes[ALL_SLOT] = total.codes[..CODE_SLOTS].iter().sum();
    }
    totals
}

/// Calls `each` with the mark and the count of every counter of the scope.
fn for_each_mark(scope: &dyn Readable, mut each: impl FnMut(&mut Mark, u64)) {
    let history = scope.history();
    let state = &mut *lock(&history.state);
    for (at, total) in totals(scope).into_iter().enumerate() {
        match history.fields[at].kind {
            Kind::Counter => each(&mut state.counters[at], total.sum as u64),
            Kind::Codes => {
                for (slot, &count) in total.codes.iter().enumerate().filter(|slot| *slot.1 > 0) {
                    each(state.codes.entry((at, slot)).or_default(), count);
                }
            }
            Kind::Gauge | Kind::Histogram(_) => {}
        }
    }
}

fn flush(scope: &dyn Readable) {
    for_each_mark(scope, Mark::flush);
    let history = scope.history();
    let state = &mut *lock(&history.state);
    let mut bins: BTreeMap<usize, Vec<(u16, u64)>> = BTreeMap::new();
    scope.visit(&mut |at, cell| {
        if let CellRef::Histogram(histogram) = cell
            && histogram.used()
        {
            let bins = bins.entry(at).or_default();
            histogram.for_each(|number, count| bins.push((number, count)));
        }
    });
    for (at, bins) in bins {
        let Some(summary) = state.histograms.get_mut(&at) else { continue };
        let cumulative = Distribution::from_bins(summary.unit, bins);
        let interval = cumulative.since(&summary.cumulative);
        *summary = Arc::new(Summary { unit: summary.unit, interval, cumulative });
    }
}

fn read(scope: &dyn Readable, into: &mut Vec<Sample>) {
    let history = scope.history();
    // Locked before the cells are read: a mark must never be newer than the count shown.
    let state = &*lock(&history.state);
    let totals = totals(scope);
    for at in history.order.iter().map(|&at| usize::from(at)) {
        let (field, total) = (&history.fields[at], &totals[at]);
        let (used, value) = match field.kind {
            Kind::Counter => (total.used, state.counters[at].show(total.sum as u64)),
            Kind::Gauge => (total.used, Value::Gauge(total.sum.max(0) as u64)),
            Kind::Histogram(_) => {
                let Some(summary) = state.histograms.get(&at) else { continue };
                (!summary.cumulative.is_empty(), Value::Histogram(Arc::clone(summary)))
            }
            Kind::Codes => {
                read_codes(history, state, at, &total.codes, into);
                continue;
            }
        };
        into.push(Sample { name: history.name(field.name), used, value });
    }
}

fn read_codes(history: &History, state: &State, at: usize, codes: &[u64], into: &mut Vec<Sample>) {
    for (slot, &count) in codes.iter().enumerate().filter(|slot| *slot.1 > 0) {
        let mut name = history.name(history.fields[at].name);
        match slot {
            ALL_SLOT => name.push_str("completed"),
            CLASS_SLOT.. => name.push_str(["1xx", "2xx", "3xx", "4xx", "5xx"][slot - CLASS_SLOT]),
            500 => name.push_str("unknown"),
            _ => name.push_str(&(slot + 100).to_string()),
        }
        let mark = state.codes.get(&(at, slot)).copied().unwrap_or_default();
        into.push(Sample { name, used: true, value: mark.show(count) });
    }
}
