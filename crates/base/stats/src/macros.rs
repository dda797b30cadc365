//! `stats_struct!`: declares a group of cells, one field a metric.

/// Declares a struct of cells and its names.
///
/// ```
/// dragoman_stats::stats_struct! {
///     /// What a cluster counts.
///     pub struct ClusterStats {
///         counters: upstream_cx_total, cds_updates = "cds.updates";
///         gauges: upstream_cx_active;
///         histograms: upstream_cx_length_ms: Milliseconds, load: Percent = "load.now";
///         codes: upstream_rq = "upstream_rq_";
///     }
/// }
/// let registry = dragoman_stats::Registry::new(2);
/// let stats = registry.scope::<ClusterStats>("cluster.a.").shard(0);
/// stats.upstream_cx_total.inc();
/// stats.upstream_rq.record(200);
/// ```
///
/// Sections stand in this order and each may be left out. A field is shown under its own name, or
/// under the text after `=`. The text of a `codes` field is the stem of its names.
#[macro_export]
macro_rules! stats_struct {
    (
        $(#[$meta:meta])*
        $vis:vis struct $group:ident {
            $(counters: $($counter:ident $(= $counter_name:literal)?),+ $(,)? ;)?
            $(gauges: $($gauge:ident $(= $gauge_name:literal)?),+ $(,)? ;)?
            $(histograms: $($histogram:ident : $unit:ident $(= $histogram_name:literal)?),+
                $(,)? ;)?
            $(codes: $($codes:ident = $stem:literal),+ $(,)? ;)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        $vis struct $group {
            $($(#[allow(missing_docs)] pub $counter: $crate::Counter,)+)?
            $($(#[allow(missing_docs)] pub $gauge: $crate::Gauge,)+)?
            $($(#[allow(missing_docs)] pub $histogram: $crate::Histogram,)+)?
            $($(#[allow(missing_docs)] pub $codes: $crate::Codes,)+)?
        }

        impl $crate::Group for $group {
            fn fields() -> &'static [$crate::Field] {
                const {
                    &[
                        $($($crate::Field {
                            name: $crate::stats_struct!(@name $counter $($counter_name)?),
                            kind: $crate::Kind::Counter,
                        },)+)?
                        $($($crate::Field {
                            name: $crate::stats_struct!(@name $gauge $($gauge_name)?),
                            kind: $crate::Kind::Gauge,
                        },)+)?
                        $($($crate::Field {
                            name: $crate::stats_struct!(@name $histogram $($histogram_name)?),
                            kind: $crate::Kind::Histogram($crate::Unit::$unit),
                        },)+)?
                        $($($crate::Field { name: $stem, kind: $crate::Kind::Codes },)+)?
                    ]
                }
            }

            #[allow(unused_variables, reason = "a group may be empty")]
            fn visit<'a>(&'a self, each: &mut dyn FnMut($crate::CellRef<'a>)) {
                $($(each($crate::CellRef::Counter(&self.$counter));)+)?
                $($(each($crate::CellRef::Gauge(&self.$gauge));)+)?
                $($(each($crate::CellRef::Histogram(&self.$histogram));)+)?
                $($(each($crate::CellRef::Codes(&self.$codes));)+)?
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
}
