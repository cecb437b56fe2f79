//! Lines and fields of a text file, by MySQL's rules. Hot path: fields are cut out of the buffer, copied once.

use tidewater_parser::ast::{FieldsFormat, LinesFormat};
use tidewater_types::Datum;

/// FIELDS and LINES.
#[derive(Debug, Clone)]
pub(super) struct LineFormat {
    field_end: Vec<u8>,
    enclosed: Option<u8>,
    escape: Option<u8>,
    line_start: Vec<u8>,
    line_end: Vec<u8>,
}

/// What ended a field.
enum End {
    Field,
    Line,
}

impl LineFormat {
    /// `None` for the fixed-size format (no terminator and no enclosing character).
    pub(super) fn new(fields: &FieldsFormat, lines: &LinesFormat) -> Option<Self> {
        let bytes =
            |text: &Option<String>, default: &str| text.as_deref().unwrap_or(default).as_bytes().to_vec();
        let format = Self {
            field_end: bytes(&fields.terminated, "\t"),
            enclosed: fields.enclosed.as_ref().and_then(|text| text.bytes().next()),
            escape: bytes(&fields.escaped, "\\").first().copied(),
            line_start: bytes(&lines.starting, ""),
            line_end: bytes(&lines.terminated, "\n"),
        };
        (!format.field_end.is_empty() || format.enclosed.is_some()).then_some(format)
    }

    /// The next line's fields and its length; `None` when it is not complete. At the end of the file what is left is a
    /// line too.
    pub(super) fn next_line(&self, data: &[u8], at_end: bool) -> Option<(Vec<Datum>, usize)> {
        let mut position = 0;
        if !self.line_start.is_empty() {
            // Whatever stands before the prefix is left out; so are lines without it.
            position = find(data, &self.line_start)? + self.line_start.len();
        }
        if position >= data.len() {
            return None;
        }
        let mut fields = Vec::new();
        loop {
            let (field, used, end) = self.next_field(&data[position..], at_end)?;
            position += used;
            fields.push(field);
            if matches!(end, End::Line) {
                return Some((fields, position));
            }
        }
    }

    fn next_field(&self, data: &[u8], at_end: bool) -> Option<(Datum, usize, End)> {
        let mut text = Vec::new();
        let mut position = 0;
        let is_enclosed = self.enclosed.is_some() && data.first().copied() == self.enclosed;
        if is_enclosed {
            position = 1;
        }
        let mut was_null = false;
        loop {
            let rest = &data[position..];
            // Terminators that the next piece may complete.
            let needed = self.line_end.len().max(self.field_end.len()).max(2);
            if rest.len() < needed && !at_end {
                return None;
            }
            let Some(&byte) = rest.first() else {
                return Some((self.finish(text, was_null, is_enclosed), position, End::Line));
            };
            if is_enclosed {
                if Some(byte) == self.enclosed {
                    if rest.get(1) == Some(&byte) {
                        text.push(byte);
                        position += 2;
                        continue;
                    }
                    match self.terminator(&rest[1..], at_end) {
                        Some((used, end)) => {
                            return Some((self.finish(text, was_null, true), position + 1 + used, end));
                        }
                        None if rest.len() <= needed && !at_end => return None,
                        None => {}
                    }
                }
            } else if let Some((used, end)) = self.terminator(rest, false) {
                return Some((self.finish(text, was_null, false), position + used, end));
            }
            if Some(byte) == self.escape {
                let Some(&escaped) = rest.get(1) else {
                    text.push(byte);
                    position += 1;
                    continue;
                };
                was_null = escaped == b'N' && text.is_empty();
                text.push(unescape(escaped));
                position += 2;
                continue;
            }
            // The run of ordinary bytes up to the next that may mean something.
            let run =
                rest[1..].iter().position(|byte| self.is_special(*byte)).map_or(rest.len(), |at| at + 1);
            text.extend_from_slice(&rest[..run]);
            position += run;
        }
    }

    fn is_special(&self, byte: u8) -> bool {
        self.field_end.first() == Some(&byte)
            || self.line_end.first() == Some(&byte)
            || self.escape == Some(byte)
            || self.enclosed == Some(byte)
    }

    fn terminator(&self, data: &[u8], at_end: bool) -> Option<(usize, End)> {
        if at_end && data.is_empty() {
            return Some((0, End::Line));
        }
        if !self.field_end.is_empty() && data.starts_with(&self.field_end) {
            return Some((self.field_end.len(), End::Field));
        }
        if !self.line_end.is_empty() && data.starts_with(&self.line_end) {
            return Some((self.line_end.len(), End::Line));
        }
        None
    }

    /// `\N`, and the word NULL where fields may be enclosed, are NULL; all else is text.
    fn finish(&self, text: Vec<u8>, was_null: bool, is_enclosed: bool) -> Datum {
        let is_word = self.enclosed.is_some() && !is_enclosed && text == b"NULL";
        if (was_null && text.len() == 1) || is_word { Datum::Null } else { Datum::Bytes(text) }
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'0' => 0,
        b'b' => 8,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'Z' => 26,
        other => other,
    }
}

fn find(data: &[u8], wanted: &[u8]) -> Option<usize> {
    data.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(field: &str, enclosed: &str, line: &str) -> LineFormat {
        let fields = FieldsFormat {
            terminated: Some(field.to_owned()),
            enclosed: (!enclosed.is_empty()).then(|| enclosed.to_owned()),
            ..FieldsFormat::default()
        };
        let lines = LinesFormat { terminated: Some(line.to_owned()), ..LinesFormat::default() };
        LineFormat::new(&fields, &lines).expect("a delimited format")
    }

    fn all(format: &LineFormat, data: &str) -> Vec<Vec<String>> {
        let mut rest = data.as_bytes();
        let mut lines = Vec::new();
        while let Some((fields, used)) = format.next_line(rest, true) {
            rest = &rest[used..];
            let shown = fields.into_iter().map(|field| match field {
                Datum::Bytes(text) => String::from_utf8(text).expect("text"),
                _ => "<null>".to_owned(),
            });
            lines.push(shown.collect());
        }
        lines
    }

    #[test]
    fn tabs_and_backslashes() {
        let format = format("\t", "", "\n");
        assert_eq!(
            all(&format, "1\ta\\tb\t\\N\n2\t\tx\\\ny"),
            [vec!["1", "a\tb", "<null>"], vec!["2", "", "x\ny"]]
        );
    }

    #[test]
    fn enclosed_fields_may_hold_terminators() {
        let format = format(",", "\"", "\r\n");
        assert_eq!(
            all(&format, "\"a,b\",\"say \"\"hi\"\"\",NULL\r\n\"NULL\",2,\r\n"),
            [vec!["a,b", "say \"hi\"", "<null>"], vec!["NULL", "2", ""]]
        );
    }

    #[test]
    fn a_line_waits_for_its_end() {
        let format = format("|", "", "\n");
        assert!(format.next_line(b"1|2", false).is_none());
        let (fields, used) = format.next_line(b"1|2\n3|", false).expect("a line");
        assert_eq!((fields.len(), used), (2, 4));
    }
}
