//! A context whose secrets may come later, and change while connections live.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::material::Fetched;

/// What new connections use. Those that have begun keep what they began with.
#[derive(Debug)]
pub struct Current<T> {
    context: RwLock<Option<Arc<T>>>,
    /// How often secrets that were fetched have made it.
    renewals: AtomicU64,
}

impl<T> Current<T> {
    /// `fetched`: of the secrets that it needs; while they haven't all come nothing is compiled.
    pub(super) fn compile(
        fetched: Fetched,
        compile: impl FnOnce() -> Option<T>,
    ) -> Option<Current<T>> {
        let context = match fetched {
            Fetched::Waiting => None,
            Fetched::None | Fetched::All => Some(Arc::new(compile()?)),
        };
        let renewals = AtomicU64::new(u64::from(fetched == Fetched::All));
        Some(Current { context: RwLock::new(context), renewals })
    }

    /// `None`: a secret hasn't come.
    pub fn get(&self) -> Option<Arc<T>> {
        self.context.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what `fresh` has.
    pub fn renew(&self, fresh: &Current<T>) {
        let context = fresh.get();
        self.renewals.fetch_add(u64::from(context.is_some()), Ordering::Relaxed);
        *self.context.write().unwrap_or_else(PoisonError::into_inner) = context;
    }

    pub fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Relaxed)
    }
}
