//! Registration: which scopes there are and how long they live. Off the request's way.
//!
//! Law: a scope is listed from its first handle until its last handle or shard is dropped, and the
//! same (prefix, group) is the same scope meanwhile, so counts go on when a cluster is replaced.
//! Danger: a handle must never be dropped while the index is locked, since dropping locks it.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::group::single_histogram;
use crate::reader::History;
use crate::{CellRef, Counter, Field, Gauge, Group, Histogram, Single, Unit};

/// A counter named at run time.
pub type CounterId = ScopeHandle<Single<Counter>>;
/// A gauge named at run time.
pub type GaugeId = ScopeHandle<Single<Gauge>>;
/// A histogram named at run time.
pub type HistogramId = ScopeHandle<Single<Histogram>>;

/// All scopes of the process. Cheap to clone; clones are the same registry.
#[derive(Clone)]
pub struct Registry {
    shards: usize,
    pub(crate) index: Arc<Mutex<Index>>,
}

/// What is registered.
#[derive(Default)]
pub(crate) struct Index {
    scopes: BTreeMap<(Arc<str>, TypeId), Entry>,
    pub(crate) texts: BTreeMap<String, String>,
    last_id: u64,
}

struct Entry {
    id: u64,
    life: Weak<dyn Any + Send + Sync>,
    cells: Arc<dyn Readable>,
}

/// Cells of one shard, alone on their cache lines: two, since processors fetch lines in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Aligned<G>(G);

/// The cells of a scope.
struct Cells<G> {
    history: History,
    shards: Box<[OnceLock<Arc<Aligned<G>>>]>,
}

/// A scope as the reader sees it.
pub(crate) trait Readable: Send + Sync {
    fn history(&self) -> &History;
    /// Visits the cells of every shard, each in the order of the fields.
    fn visit(&self, each: &mut dyn FnMut(usize, CellRef<'_>));
}

impl<G: Group> Readable for Cells<G> {
    fn history(&self) -> &History {
        &self.history
    }

    fn visit(&self, each: &mut dyn FnMut(usize, CellRef<'_>)) {
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            let mut at = 0;
            shard.0.visit(&mut |cell| {
                each(at, cell);
                at += 1;
            });
        }
    }
}

/// Unlists the scope when the last handle or shard goes.
struct Life<G> {
    key: (Arc<str>, TypeId),
    id: u64,
    index: Weak<Mutex<Index>>,
    cells: Arc<Cells<G>>,
}

impl<G> Drop for Life<G> {
    fn drop(&mut self) {
        let Some(index) = self.index.upgrade() else { return };
        let mut index = lock(&index);
        // A new scope may have taken the name already.
        if index.scopes.get(&self.key).is_some_and(|entry| entry.id == self.id) {
            index.scopes.remove(&self.key);
        }
    }
}

/// Keeps a scope listed and gives out its shards.
#[must_use = "the scope is unlisted when its last handle is dropped"]
pub struct ScopeHandle<G>(Arc<Life<G>>);

/// The cells of a scope that one thread writes. Derefs to the group.
/// A clone counts references with an atomic read-modify-write: hold it, don't clone it a request.
pub struct Shard<G> {
    cells: Arc<Aligned<G>>,
    life: Arc<Life<G>>,
}

impl Registry {
    /// A registry for so many writing threads (the workers and the control thread).
    pub fn new(shards: usize) -> Self {
        Self { shards, index: Arc::default() }
    }

    /// How many shards every scope has.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// The scope of that group under `prefix` (which ends with a dot, or is empty).
    pub fn scope<G: Group>(&self, prefix: &str) -> ScopeHandle<G> {
        self.register(prefix, G::fields())
    }

    /// Cells that are shown under no name: for those who count together.
    pub fn unlisted<G: Group>(&self) -> ScopeHandle<G> {
        let key = (Arc::from(""), TypeId::of::<G>());
        ScopeHandle(Arc::new(Life {
            key,
            id: 0,
            index: Weak::new(),
            cells: self.cells("", G::fields()),
        }))
    }

    fn cells<G: Group>(&self, prefix: &str, fields: &'static [Field]) -> Arc<Cells<G>> {
        Arc::new(Cells {
            history: History::new(Arc::from(prefix), fields),
            shards: (0..self.shards).map(|_| OnceLock::new()).collect(),
        })
    }

    /// The counter of that full name.
    pub fn counter(&self, name: &str) -> CounterId {
        self.scope(name)
    }

    /// The gauge of that full name.
    pub fn gauge(&self, name: &str) -> GaugeId {
        self.scope(name)
    }

    /// The histogram of that full name; if it is registered already it keeps its unit.
    pub fn histogram(&self, name: &str, unit: Unit) -> HistogramId {
        self.register(name, single_histogram(unit))
    }

    /// Sets the text shown under `name`, until it is removed.
    pub fn text_readout(&self, name: &str, value: &str) {
        lock(&self.index).texts.insert(name.to_owned(), value.to_owned());
    }

    /// Removes a text.
    pub fn remove_text_readout(&self, name: &str) {
        lock(&self.index).texts.remove(name);
    }

    fn register<G: Group>(&self, prefix: &str, fields: &'static [Field]) -> ScopeHandle<G> {
        let key = (Arc::from(prefix), TypeId::of::<G>());
        let mut index = lock(&self.index);
        let live = index.scopes.get(&key).and_then(|entry| entry.life.upgrade());
        if let Some(Ok(life)) = live.map(|life| life.downcast::<Life<G>>()) {
            return ScopeHandle(life);
        }
        index.last_id += 1;
        let cells = self.cells(prefix, fields);
        let life = Arc::new(Life {
            key: key.clone(),
            id: index.last_id,
            index: Arc::downgrade(&self.index),
            cells: Arc::clone(&cells),
        });
        let weak = Arc::downgrade(&life);
        index.scopes.insert(key, Entry { id: life.id, life: weak, cells });
        ScopeHandle(life)
    }

    /// The scopes listed now, by prefix. Reading them needs no lock of the index.
    pub(crate) fn listed(&self) -> Vec<Arc<dyn Readable>> {
        lock(&self.index).scopes.values().map(|entry| Arc::clone(&entry.cells)).collect()
    }
}

/// A poisoned lock guards nothing half-done here: the index is valid after every statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<G: Group> ScopeHandle<G> {
    /// The cells of shard `at`; made on first use. Every call gives the same cells.
    ///
    /// Panics if `at` is not less than the registry's number of shards.
    pub fn shard(&self, at: usize) -> Shard<G> {
        let cells = Arc::clone(self.0.cells.shards[at].get_or_init(Arc::default));
        Shard { cells, life: Arc::clone(&self.0) }
    }
}

impl<G> ScopeHandle<G> {
    /// The scope's prefix, or the name of a single metric.
    pub fn prefix(&self) -> &str {
        &self.0.key.0
    }
}

impl<G> Shard<G> {
    /// The scope's prefix, or the name of a single metric.
    pub fn prefix(&self) -> &str {
        &self.life.key.0
    }
}

impl<G> Deref for Shard<G> {
    type Target = G;

    #[inline]
    fn deref(&self) -> &G {
        &self.cells.0
    }
}

impl<G> Clone for ScopeHandle<G> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<G> Clone for Shard<G> {
    fn clone(&self) -> Self {
        Self { cells: Arc::clone(&self.cells), life: Arc::clone(&self.life) }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("shards", &self.shards).finish_non_exhaustive()
    }
}

impl<G> fmt::Debug for ScopeHandle<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopeHandle").field(&self.prefix()).finish()
    }
}

impl<G> fmt::Debug for Shard<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shard").field(&self.prefix()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(registry: &Registry) -> Vec<String> {
        registry.snapshot().into_iter().map(|sample| sample.name).collect()
    }

    #[test]
    fn a_name_is_listed_while_it_can_be_written() {
        let registry = Registry::new(2);
        let handle = registry.counter("a");
        let shard = handle.shard(1);
        drop(handle);
        assert_eq!(names(&registry), ["a"]);
        drop(shard);
        assert!(names(&registry).is_empty());
    }

    #[test]
    fn the_same_name_is_the_same_scope_while_it_lives() {
        let registry = Registry::new(1);
        let first = registry.counter("a");
        let second = registry.counter("a");
        first.shard(0).inc();
        drop(first);
        assert_eq!(second.shard(0).value(), 1);
        drop(second);
        assert_eq!(registry.counter("a").shard(0).value(), 0);
    }

    #[test]
    fn an_old_scope_does_not_unlist_its_successor() {
        let registry = Registry::new(1);
        let old = registry.counter("a");
        // As if the old one's last drop had not reached the index yet.
        lock(&registry.index).scopes.clear();
        let new = registry.counter("a");
        drop(old);
        assert_eq!(names(&registry), ["a"]);
        drop(new);
        assert!(names(&registry).is_empty());
    }

    #[test]
    fn shards_are_on_cache_lines_of_their_own() {
        let handle = Registry::new(2).gauge("g");
        for at in 0..2 {
            let shard = handle.shard(at);
            assert_eq!(std::ptr::from_ref(&*shard.cells) as usize % 128, 0);
            assert_eq!(size_of::<Aligned<Single<Gauge>>>(), 128);
        }
    }
}
