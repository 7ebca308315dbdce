//! The interval of a source: which conversations are exported, by when they began.

use recording_host_engine::run::Interval;

/// A day or a time of an interval, in milliseconds since 1970.
fn instant(text: &str) -> Result<u64, &'static str> {
    let at = match text.parse::<jiff::civil::Date>() {
        Ok(_) if !text.contains(['T', 't', ' ']) => format!("{text}T00:00:00Z").parse(),
        _ => text.parse::<jiff::Timestamp>(),
    };
    match at {
        Ok(at) => u64::try_from(at.as_millisecond()).map_err(|_| "is before 1970"),
        Err(_) if text.is_empty() => Err("is empty"),
        Err(_) if text.parse::<jiff::civil::DateTime>().is_ok() => {
            Err("does not say which zone it is told in; put `Z` behind it for UTC")
        }
        Err(_) => {
            Err("is neither a day such as 2026-01-01 nor a time such as 2026-01-01T08:00:00Z")
        }
    }
}

/// Reads a range such as `2026-01-01/2026-02-01`, `2026-01-01T08:00:00Z/2026-01-01T09:00:00Z`, or
/// `2026-01-01/..`, which has no end.
///
/// # Errors
/// Says what is wrong with the text.
pub fn interval(text: &str) -> Result<Interval, String> {
    let form = format!("`{text}` is not a range such as 2026-01-01/2026-02-01");
    let instant = |which: &str, side: &str| {
        instant(side).map_err(|reason| format!("{form}: its {which} `{side}` {reason}"))
    };
    let (from, until) = text.split_once('/').ok_or_else(|| form.clone())?;
    let from = instant("beginning", from)?;
    if until == ".." {
        return Ok(Interval { from, until: None });
    }
    let until = instant("end", until)?;
    if from < until {
        Ok(Interval {
            from,
            until: Some(until),
        })
    } else {
        Err(format!("`{text}` ends before it begins"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_utc_and_the_end_is_excluded() {
        let range = interval("2026-01-01/2026-01-02").unwrap();
        assert_eq!(range.until, Some(range.from + 86_400_000));
        assert_eq!(interval("2026-01-01/..").unwrap().until, None);
        for (text, words) in [
            (
                "2026",
                "`2026` is not a range such as 2026-01-01/2026-02-01",
            ),
            (
                "01.01.2026/2026-02-01",
                "`01.01.2026/2026-02-01` is not a range such as 2026-01-01/2026-02-01: its beginning `01.01.2026` is neither a day",
            ),
            (
                "2026-01-01/now",
                "`2026-01-01/now` is not a range such as 2026-01-01/2026-02-01: its end `now` is neither",
            ),
            (
                "2026-01-01/2026-02-30",
                "`2026-01-01/2026-02-30` is not a range such as 2026-01-01/2026-02-01: its end `2026-02-30`",
            ),
            (
                "2026-01-01/",
                "`2026-01-01/` is not a range such as 2026-01-01/2026-02-01: its end `` is empty",
            ),
            (
                "2026-01-01T08:00:00/2026-02-01",
                "`2026-01-01T08:00:00/2026-02-01` is not a range such as 2026-01-01/2026-02-01: its beginning `2026-01-01T08:00:00` does not say which zone",
            ),
            (
                "1960-01-01/2026-01-01",
                "`1960-01-01/2026-01-01` is not a range such as 2026-01-01/2026-02-01: its beginning `1960-01-01` is before 1970",
            ),
            (
                "2026-01-02/2026-01-01",
                "`2026-01-02/2026-01-01` ends before it begins",
            ),
        ] {
            let error = interval(text).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
