//! Seconds since 1970 to a civil date (proleptic Gregorian, UTC) and back to nothing: no time zones.

use super::digits;

pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAY: u64 = 86_400;

/// A second's civil parts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    pub(super) year: u64,
    /// 1..=12.
    pub(super) month: u64,
    /// 1..=31.
    pub(super) day: u64,
    /// 0 is Sunday.
    pub(super) weekday: usize,
    /// 0..=365.
    pub(super) yearday: u64,
    pub(super) hour: u64,
    pub(super) minute: u64,
    pub(super) second: u64,
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

impl Moment {
    /// The date of a day counted from 1970-01-01; the time of day stays zero.
    fn of_day(days: u64) -> Moment {
        // Count in 400-year eras of 146097 days from 0000-03-01, so that a leap day ends its year.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let index = (5 * from_march + 2) / 153;
        let day = from_march - (153 * index + 2) / 5 + 1;
        let month = if index < 10 { index + 3 } else { index - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let leap = u64::from(is_leap(year));
        let yearday = if month <= 2 { from_march - 306 } else { from_march + 59 + leap };
        let weekday = ((days + 4) % 7) as usize;
        Moment { year, month, day, weekday, yearday, ..Moment::default() }
    }

    /// ISO 8601's (year, week).
    pub(super) fn iso_week(&self) -> (u64, u64) {
        let monday_based = (self.weekday as u64 + 6) % 7;
        let week = (self.yearday + 10 - monday_based) / 7;
        if week == 0 {
            return (self.year - 1, weeks_in(self.year - 1));
        }
        if week > weeks_in(self.year) { (self.year + 1, 1) } else { (self.year, week) }
    }
}

/// A year has 53 ISO weeks if it ends on a Thursday, or the year before ends on a Wednesday.
fn weeks_in(year: u64) -> u64 {
    let last_weekday = |y: u64| (y + y / 4 - y / 100 + y / 400) % 7;
    52 + u64::from(last_weekday(year) == 4 || last_weekday(year - 1) == 3)
}

/// Remembers the last day and the last second that were written.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    day: u64,
    date: Moment,
    second: u64,
    /// `YYYY-MM-DDTHH:MM:SS`.
    text: Vec<u8>,
}

impl Default for Calendar {
    fn default() -> Calendar {
        Calendar { day: 0, date: Moment::of_day(0), second: u64::MAX, text: Vec::with_capacity(24) }
    }
}

impl Calendar {
    pub(super) fn moment(&mut self, seconds: u64) -> Moment {
        let (day, rest) = (seconds / DAY, seconds % DAY);
        if day != self.day {
            self.day = day;
            self.date = Moment::of_day(day);
        }
        Moment { hour: rest / 3600, minute: rest / 60 % 60, second: rest % 60, ..self.date }
    }

    /// Appends `YYYY-MM-DDTHH:MM:SS`.
    pub(super) fn write_second(&mut self, seconds: u64, out: &mut Vec<u8>) {
        if seconds != self.second {
            let m = self.moment(seconds);
            self.text.clear();
            for (value, width, after) in [
                (m.year, 4, b'-'),
                (m.month, 2, b'-'),
                (m.day, 2, b'T'),
                (m.hour, 2, b':'),
                (m.minute, 2, b':'),
                (m.second, 2, b'.'),
            ] {
                digits(&mut self.text, value, width);
                self.text.push(after);
            }
            self.text.pop();
            self.second = seconds;
        }
        out.extend_from_slice(&self.text);
    }
}
