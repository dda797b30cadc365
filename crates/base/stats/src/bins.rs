//! Log-linear bins: two significant decimal digits, 90 bins a decade (the layout of
//! OpenHistogram's circllhist, which Envoy uses). Pure arithmetic on bin numbers.
//!
//! Numbering: 0..=9 hold exactly those values; then 90 bins for each decade from ten on.
//! Danger: the reader's figures must agree with Envoy's to the last printed digit, so the floating
//! point expressions below are written in one particular order.

/// How many values have a bin of their own.
pub(crate) const SMALL: usize = 10;
/// Bins in a decade.
pub(crate) const PER_DECADE: usize = 90;
/// Decades from 10 up to `u64::MAX`.
pub(crate) const DECADES: usize = 19;

/// Exact in floating point, which `powi` does not promise.
#[rustfmt::skip]
const POWERS: [f64; DECADES + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
];

/// What a value of each decade is divided by to leave its two leading digits. A table, since
/// computing a power costs a loop.
const LEADS: [u64; DECADES] = {
    let mut leads = [1; DECADES];
    let mut at = 1;
    while at < DECADES {
        leads[at] = leads[at - 1] * 10;
        at += 1;
    }
    leads
};

/// Where a value of ten or more is counted: (decade from 0, bin in the decade).
#[inline]
pub(crate) fn place(value: u64) -> (usize, usize) {
    let decade = value.ilog10() as usize - 1;
    (decade, (value / LEADS[decade]) as usize - SMALL)
}

/// The bin's number for a place.
pub(crate) fn number(decade: usize, bin: usize) -> u16 {
    (SMALL + decade * PER_DECADE + bin) as u16
}

/// Power of ten and two leading digits (10..=99) of a bin; `None` for the bin of zero.
pub(crate) fn parts(number: u16) -> Option<(i32, u32)> {
    let number = usize::from(number);
    match number.checked_sub(SMALL) {
        None if number == 0 => None,
        None => Some((0, number as u32 * 10)),
        Some(at) => Some(((at / PER_DECADE) as i32 + 1, (at % PER_DECADE + SMALL) as u32)),
    }
}

/// Lower bound of a bin.
pub(crate) fn lower(number: u16) -> f64 {
    parts(number).map_or(0.0, |(power, lead)| f64::from(lead) / 10.0 * POWERS[power as usize])
}

/// Width of a bin; the bin of zero has none.
pub(crate) fn width(number: u16) -> f64 {
    parts(number).map_or(0.0, |(power, _)| POWERS[power as usize] / 10.0)
}

/// The point of the bin with the least relative error to both its ends, used for sums.
pub(crate) fn midpoint(number: u16) -> f64 {
    if number == 0 {
        return 0.0;
    }
    let (bottom, width) = (lower(number), width(number));
    let ratio = bottom / (bottom + (bottom + width));
    bottom + width * ratio
}

/// Power of ten and two leading digits of any bound, for comparing with `parts`.
/// Not a positive finite number: `None`, which stands before all other bins.
pub(crate) fn parts_of_bound(bound: f64) -> Option<(i32, u32)> {
    if !bound.is_finite() || bound <= 0.0 {
        return None;
    }
    let power = bound.log10().floor() as i32;
    // The margin keeps a bound such as 0.11 from falling into the bin below by rounding.
    let lead = (bound / 10f64.powi(power) * 10.0 + 1e-13).floor() as u32;
    if lead >= 100 { Some((power + 1, lead / 10)) } else { Some((power, lead)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin_of(value: u64) -> u16 {
        if value < SMALL as u64 {
            return value as u16;
        }
        let (decade, bin) = place(value);
        number(decade, bin)
    }

    #[test]
    fn every_edge_of_every_decade_is_in_its_own_bin() {
        let mut edge = 10u64;
        loop {
            assert_eq!(lower(bin_of(edge)), edge as f64, "{edge}");
            assert_eq!(bin_of(edge), bin_of(edge - 1) + 1, "{edge}");
            match edge.checked_mul(10) {
                Some(next) => edge = next,
                None => break,
            }
        }
        assert_eq!(usize::from(bin_of(u64::MAX)), SMALL + 18 * PER_DECADE + 8);
    }

    #[test]
    fn values_lie_between_the_bounds_of_their_bin() {
        let mut value = 1u64;
        while value < u64::MAX / 7 {
            let bin = bin_of(value);
            let (low, high) = (lower(bin), lower(bin) + width(bin));
            // Small values have a width of a tenth: their bin starts at the value itself.
            assert!(low <= value as f64 && (value as f64) < high, "{value}: {low}..{high}");
            value = value * 6 / 5 + 1;
        }
    }

    #[test]
    fn bounds_meet_the_bins_of_the_same_value() {
        for value in [1u64, 5, 10, 25, 50, 99, 100, 250, 1000, 2500, 300_000, 3_600_000] {
            assert_eq!(parts_of_bound(value as f64), parts(bin_of(value)), "{value}");
        }
        assert_eq!(parts_of_bound(0.5), Some((-1, 50)));
        assert_eq!(parts_of_bound(0.0), None);
        assert_eq!(parts_of_bound(f64::NAN), None);
    }
}
