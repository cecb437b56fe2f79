//! Sizes and spans of time for people, in the form of PD and TiDB, which is Go's.

use std::time::Duration;

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A size in the largest unit that leaves something before the point, with four digits at most: `98.3GiB`.
///
/// ```
/// assert_eq!(tidewater_types::size_text(1536), "1.5KiB");
/// ```
pub fn size_text(bytes: u64) -> String {
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let digits = match size {
        size if size < 10.0 => 3,
        size if size < 100.0 => 2,
        size if size < 1000.0 => 1,
        _ => 0,
    };
    let text = format!("{size:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

/// Whole seconds of a span: `1h30m0s`.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(tidewater_types::span_text(Duration::from_secs(90)), "1m30s");
/// ```
pub fn span_text(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_four_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (1000, "1000B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (105_553_116_266, "98.3GiB"),
            (200 << 30, "200GiB"),
            (u64::MAX, "16EiB"),
        ] {
            assert_eq!(size_text(bytes), text);
        }
    }

    #[test]
    fn spans_are_written_as_in_go() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (90, "1m30s"), (5400, "1h30m0s")] {
            assert_eq!(span_text(Duration::from_secs(seconds)), text);
        }
    }
}
