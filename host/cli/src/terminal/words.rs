//! Numbers, rates and lengths of time as they stand in a line.

/// A number with commas between thousands.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate, given for a second.
pub(super) fn rate(each_second: f64) -> String {
    match each_second {
        rate if rate >= 10.0 => format!("{rate:.0}/s"),
        rate if rate >= 0.95 => format!("{rate:.1}/s"),
        rate if rate > 0.0 => format!("{:.1}/min", rate * 60.0),
        _ => String::new(),
    }
}

/// A share in percent, 100 only if it is all.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => String::new(),
        whole if part >= whole => "100%".to_owned(),
        whole => format!("{}%", u128::from(part) * 100 / u128::from(whole)),
    }
}

/// A length of time in seconds.
pub(super) fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_say_more_than_there_is() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(percent(1999, 2000), "99%");
        assert_eq!(percent(2000, 2000), "100%");
        assert_eq!(percent(3, 0), "");
        assert_eq!(rate(0.0), "");
        assert_eq!(rate(0.5), "30.0/min");
        assert_eq!(rate(2.04), "2.0/s");
        assert_eq!(rate(1598.4), "1598/s");
        assert_eq!(time(119), "119 s");
        assert_eq!(time(7199), "119 min");
    }
}
