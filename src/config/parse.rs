//! Durations, sizes and percentages as people write them.

use std::time::Duration;

use crate::domain::Percent;

/// A whole number and a unit: `500ms`, `30s`, `5m`, `2h`, `30d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

/// A whole number of bytes and a unit: `512B`, `64KiB`, `16MiB`, `1GiB`.
pub(super) fn bytes(text: &str) -> Option<usize> {
    let (number, unit) = number_and_unit(text)?;
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift).and_then(|bytes| usize::try_from(bytes).ok())
}

/// A percentage from 0 to 100 with at most two decimals: `60%`, `12.5%`.
pub(super) fn percent(text: &str) -> Option<Percent> {
    let number = text.strip_suffix('%')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if part.is_empty() || part.len() > 2 {
        return None;
    }
    let hundredths = digits(whole)?.checked_mul(100)? + digits(&format!("{part:0<2}"))?;
    Percent::from_hundredths(u16::try_from(hundredths).ok()?)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    Some((digits(&text[..split])?, text[split..].trim_start()))
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_and_sizes_need_a_unit() {
        assert_eq!(duration("2h"), Some(Duration::from_hours(2)));
        assert_eq!(duration("30 s"), Some(Duration::from_secs(30)));
        assert_eq!(bytes("16MiB"), Some(16 * 1024 * 1024));
        for bad in ["", "30", "s", "-1s", "1.5h", "1h30m", "30sec", "99999999999999999999s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(bytes("16MB"), None);
    }

    #[test]
    fn a_percentage_above_100_or_without_its_sign_is_refused() {
        for bad in ["60", "100.01%", "-5%", "%", "5.%", "0.125%", "5 %", "99999999999999999999%"] {
            assert_eq!(percent(bad), None, "{bad}");
        }
        assert_eq!(percent("12.5%"), Percent::from_hundredths(1_250));
    }

    proptest! {
        #[test]
        fn a_percentage_reads_as_it_prints(hundredths in 0_u16..=10_000) {
            let value = Percent::from_hundredths(hundredths).unwrap();
            prop_assert_eq!(percent(&value.to_string()), Some(value));
        }
    }
}
