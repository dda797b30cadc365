//! What a scope is made of: a group of cells whose names are known when it is compiled.
//!
//! Must not know: prefixes, shards, the registry.

use std::ops::Deref;

use crate::{Codes, Counter, Gauge, Histogram, Unit};

/// What a field of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A [`Counter`].
    Counter,
    /// A [`Gauge`].
    Gauge,
    /// A [`Histogram`].
    Histogram(Unit),
    /// A [`Codes`] family; its name is the stem before the code.
    Codes,
}

/// A field of a group: its name without the scope's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Shown after the scope's prefix.
    pub name: &'static str,
    /// What the cell is.
    pub kind: Kind,
}

/// One cell of a group, as the reader sees it.
#[derive(Debug, Clone, Copy)]
pub enum CellRef<'a> {
    /// For `Kind::Counter`.
    Counter(&'a Counter),
    /// For `Kind::Gauge`.
    Gauge(&'a Gauge),
    /// For `Kind::Histogram`.
    Histogram(&'a Histogram),
    /// For `Kind::Codes`.
    Codes(&'a Codes),
}

/// A block of cells with static names; made by [`stats_struct!`](crate::stats_struct).
pub trait Group: Default + Send + Sync + 'static {
    /// Names and kinds, in the order of `visit`.
    fn fields() -> &'static [Field];

    /// Calls `each` once a field, in the order of `fields`.
    fn visit<'a>(&'a self, each: &mut dyn FnMut(CellRef<'a>));
}

/// A group of one cell without a name of its own, for metrics named at run time.
#[derive(Debug, Default)]
pub struct Single<C>(pub(crate) C);

impl<C> Deref for Single<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

macro_rules! single {
    ($cell:ident, $kind:expr) => {
        impl Group for Single<$cell> {
            fn fields() -> &'static [Field] {
                &[Field { name: "", kind: $kind }]
            }

            fn visit<'a>(&'a self, each: &mut dyn FnMut(CellRef<'a>)) {
                each(CellRef::$cell(&self.0));
            }
        }
    };
}
single!(Counter, Kind::Counter);
single!(Gauge, Kind::Gauge);
single!(Histogram, Kind::Histogram(Unit::Unspecified));

/// The one field of `Single<Histogram>`, by unit.
pub(crate) fn single_histogram(unit: Unit) -> &'static [Field] {
    macro_rules! by_unit {
        ($($unit:ident)*) => {
            match unit {
                $(Unit::$unit => &[Field { name: "", kind: Kind::Histogram(Unit::$unit) }],)*
            }
        };
    }
    by_unit!(Unspecified Bytes Nanoseconds Microseconds Milliseconds MicrosAsMillis Percent)
}
