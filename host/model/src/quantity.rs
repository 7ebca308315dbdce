//! Numbers with a unit, as people write them.

use std::time::Duration;

/// Reads a number of bytes such as `500MB`; the units are powers of a thousand.
///
/// # Errors
/// The accepted forms, if it is none, or nothing.
pub fn bytes(text: &str) -> Result<u64, String> {
    let units = [
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("", 1),
    ];
    number(text, &units, "500MB, 2GB or 1000000")
}

/// Reads a length of time such as `30m`.
///
/// # Errors
/// The accepted forms, if it is none, or nothing.
pub fn time(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    number(text, &units, "90s, 30m, 6h or 2d").map(Duration::from_secs)
}

fn number(text: &str, units: &[(&str, u64)], such: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = units.iter().find(|(name, _)| *name == unit.trim());
    let value = number.parse::<u64>().ok().zip(unit);
    let value = value.and_then(|(number, (_, unit))| number.checked_mul(*unit));
    value
        .filter(|value| *value > 0)
        .ok_or_else(|| format!("not a limit; give one such as {such}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_units_and_are_never_nothing() {
        assert_eq!(bytes("2GB"), Ok(2_000_000_000));
        assert_eq!(bytes("17"), Ok(17));
        assert_eq!(time("30m"), Ok(Duration::from_secs(1800)));
        for wrong in ["", "0", "GB", "-1GB", "1.5GB", "1XB", "99999999999TB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "30", "0s", "h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
