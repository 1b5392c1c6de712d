//! Dates as HTTP writes them (RFC 9110 §5.6.7), from and to seconds since 1970, UTC.

const DAYS: [(&str, &str); 7] = [
    ("Thu", "Thursday"),
    ("Fri", "Friday"),
    ("Sat", "Saturday"),
    ("Sun", "Sunday"),
    ("Mon", "Monday"),
    ("Tue", "Tuesday"),
    ("Wed", "Wednesday"),
];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The last second with a year of four digits.
const LAST: u64 = 253_402_300_799;

/// The date in the one form to be sent, IMF-fixdate. What is past the year 9999 becomes its end.
///
/// ```
/// use edgeloop::proto::http1::date;
///
/// assert_eq!(&date::format(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[must_use]
pub fn format(unix_secs: u64) -> [u8; 29] {
    let secs = unix_secs.min(LAST);
    let (days, time) = (secs / 86_400, secs % 86_400);
    let (year, month, day) = civil(days);
    let day_name = usize::try_from(days % 7)
        .ok()
        .and_then(|day| DAYS.get(day))
        .map_or("", |day| day.0);
    let month_name = MONTHS
        .iter()
        .zip(0..)
        .find(|named| named.1 == month)
        .map_or("", |named| named.0);
    let mut date = *b"---, -- --- ---- --:--:-- GMT";
    write(&mut date, 0, day_name.as_bytes());
    write(&mut date, 5, &two_digits(day));
    write(&mut date, 8, month_name.as_bytes());
    write(&mut date, 12, &two_digits(year / 100));
    write(&mut date, 14, &two_digits(year % 100));
    write(&mut date, 17, &two_digits(time / 3600));
    write(&mut date, 20, &two_digits(time / 60 % 60));
    write(&mut date, 23, &two_digits(time % 60));
    date
}

/// Reads a date in any of the three forms: IMF-fixdate, RFC 850 and asctime. `None` if it is none of
/// them, names a day that does not exist, or lies before 1970; a date that cannot be read is to be
/// treated as if the field were not there (RFC 9110 §13.1.3).
///
/// The two-digit years of RFC 850 mean 1970 to 2069.
///
/// ```
/// use edgeloop::proto::http1::date;
///
/// assert_eq!(date::parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
/// assert_eq!(date::parse("Sunday, 06-Nov-94 08:49:37 GMT"), Some(784_111_777));
/// assert_eq!(date::parse("Sun Nov  6 08:49:37 1994"), Some(784_111_777));
/// ```
#[must_use]
pub fn parse(date: &str) -> Option<u64> {
    match date.split_once(", ") {
        Some((day_name, rest)) if day_name.len() == 3 => imf_fixdate(day_name, rest),
        Some((day_name, rest)) => rfc850(day_name, rest),
        None => asctime(date),
    }
}

/// `06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(day_name: &str, rest: &str) -> Option<u64> {
    let (day, rest) = rest.split_once(' ')?;
    let (month, rest) = rest.split_once(' ')?;
    let (year, rest) = rest.split_once(' ')?;
    let days = days(digits::<4>(year)?, month, digits::<2>(day)?)?;
    let is_named_so = weekday(days)?.0 == day_name;
    is_named_so.then_some(days * 86_400 + time(rest.strip_suffix(" GMT")?)?)
}

/// `06-Nov-94 08:49:37 GMT`
fn rfc850(day_name: &str, rest: &str) -> Option<u64> {
    let (date, rest) = rest.split_once(' ')?;
    let (day, date) = date.split_once('-')?;
    let (month, year) = date.split_once('-')?;
    let year = match digits::<2>(year)? {
        year @ 70.. => 1900 + year,
        year => 2000 + year,
    };
    let days = days(year, month, digits::<2>(day)?)?;
    let is_named_so = weekday(days)?.1 == day_name;
    is_named_so.then_some(days * 86_400 + time(rest.strip_suffix(" GMT")?)?)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(date: &str) -> Option<u64> {
    let (day_name, rest) = date.split_once(' ')?;
    let (month, rest) = rest.split_once(' ')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let day = match day.strip_prefix(' ') {
        Some(day) => digits::<1>(day)?,
        None => digits::<2>(day)?,
    };
    let (clock, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    let days = days(digits::<4>(year)?, month, day)?;
    let is_named_so = weekday(days)?.0 == day_name;
    is_named_so.then_some(days * 86_400 + time(clock)?)
}

/// `08:49:37`, as seconds of the day; the second may be a leap second.
fn time(clock: &str) -> Option<u64> {
    let (hour, rest) = clock.split_once(':')?;
    let (minute, second) = rest.split_once(':')?;
    let (hour, minute, second) = (
        digits::<2>(hour)?,
        digits::<2>(minute)?,
        digits::<2>(second)?,
    );
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Exactly `N` decimal digits.
fn digits<const N: usize>(text: &str) -> Option<u64> {
    let digits: &[u8; N] = text.as_bytes().try_into().ok()?;
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number * 10 + u64::from(digit - b'0')),
        _ => None,
    })
}

fn weekday(days: u64) -> Option<&'static (&'static str, &'static str)> {
    DAYS.get(usize::try_from(days % 7).ok()?)
}

/// Days since 1970 of a day that exists.
fn days(year: u64, month_name: &str, day: u64) -> Option<u64> {
    let month: u64 = MONTHS
        .iter()
        .zip(0..)
        .find(|named| *named.0 == month_name)?
        .1;
    if year < 1970 {
        return None;
    }
    // Years start in March here, so that the leap day is the last one (see `civil`).
    let shifted_month = (month + 10) % 12;
    let shifted_year = if month < 2 { year - 1 } else { year };
    let leaps = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let day_of_year = (153 * shifted_month + 2) / 5 + day.checked_sub(1)?;
    let days = (shifted_year * 365 + leaps + day_of_year).checked_sub(EPOCH)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// Days from 1 March of the year 0 to 1 January 1970, in the Gregorian calendar.
const EPOCH: u64 = 719_468;

/// Year, month from 0, and day from 1. A cycle of 400 years has 146,097 days; within it the leap days
/// so far are taken out to find the year; months from March on have 153 days in every five.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH;
    let (cycle, day_of_cycle) = (days / 146_097, days % 146_097);
    let leaps = day_of_cycle / 1460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
    let year_of_cycle = (day_of_cycle - leaps) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let january_on = shifted_month >= 10;
    let month = if january_on {
        shifted_month - 10
    } else {
        shifted_month + 2
    };
    (cycle * 400 + year_of_cycle + january_on as u64, month, day)
}

fn two_digits(number: u64) -> [u8; 2] {
    let digit = |number: u64| b'0' + u8::try_from(number % 10).unwrap_or_default();
    [digit(number / 10), digit(number)]
}

fn write(date: &mut [u8; 29], at: usize, part: &[u8]) {
    for (place, byte) in date.iter_mut().skip(at).zip(part) {
        *place = *byte;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn text(unix_secs: u64) -> String {
        String::from_utf8(format(unix_secs).to_vec()).unwrap()
    }

    #[test]
    fn the_edges_of_the_calendar() {
        for (secs, want) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(text(secs), want);
            assert_eq!(parse(want), Some(secs));
        }
        assert_eq!(format(u64::MAX), format(LAST));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for bad in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun,  6 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 +8:49:37 GMT",
            "Thu, 00 Jan 1970 00:00:00 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Thu, 29 Feb 2001 00:00:00 GMT",
            "Mon, 29 Feb 2100 00:00:00 GMT",
            "Mon, 31 Apr 2000 00:00:00 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 GMT",
            "Sun Nov  é 08:49:37 1994",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_two_digit_year_is_1970_to_2069() {
        assert_eq!(parse("Thursday, 01-Jan-70 00:00:00 GMT"), Some(0));
        assert_eq!(
            parse("Tuesday, 31-Dec-69 23:59:59 GMT"),
            Some(3_155_759_999)
        );
    }

    proptest! {
        #[test]
        fn dates_agree_with_httpdate(secs in 0..=LAST) {
            let time = UNIX_EPOCH + Duration::from_secs(secs);
            prop_assert_eq!(text(secs), httpdate::fmt_http_date(time));
            prop_assert_eq!(parse(&text(secs)), Some(secs));
        }

        #[test]
        fn the_obsolete_forms_mean_the_same(secs in 0..3_155_760_000u64) {
            let date = text(secs);
            let (day, month, year, clock) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
            let (short, long) = DAYS.iter().find(|name| date.starts_with(name.0)).unwrap();
            let rfc850 = format!("{long}, {day}-{month}-{} {clock} GMT", &year[2..]);
            let padded = day.strip_prefix('0').map_or_else(|| day.to_owned(), |day| format!(" {day}"));
            let asctime = format!("{short} {month} {padded} {clock} {year}");
            for obsolete in [rfc850, asctime] {
                prop_assert_eq!(parse(&obsolete), Some(secs), "{}", obsolete);
                let time = httpdate::parse_http_date(&obsolete).unwrap();
                prop_assert_eq!(time, UNIX_EPOCH + Duration::from_secs(secs));
            }
        }

        #[test]
        fn no_text_upsets_the_parser(date in "\\PC{0,40}") {
            if let Some(secs) = parse(&date) {
                prop_assert!(secs <= LAST + 1);
            }
        }
    }
}
