//! Documents as MySQL prints them: a space after commas and colons, shorter keys first.

use std::fmt;

use super::{JSON_DEPTH_MAX, JsonRef, JsonType};
use crate::number;

impl JsonRef<'_> {
    /// Appends the document as MySQL prints it.
    pub fn write_to(self, out: &mut Vec<u8>) {
        self.write_below(0, None, out);
    }

    /// Appends the document as JSON_PRETTY() prints it.
    pub fn write_pretty(self, out: &mut Vec<u8>) {
        self.write_below(0, Some(0), out);
    }

    /// `indent` is the number of levels, None prints one line.
    fn write_below(self, above: usize, indent: Option<usize>, out: &mut Vec<u8>) {
        if above > JSON_DEPTH_MAX {
            return out.extend_from_slice(b"null");
        }
        let inner = indent.map(|levels| levels + 1);
        match self.json_type() {
            JsonType::Object => {
                out.push(b'{');
                let mut count = 0;
                for (key, value) in self.members() {
                    write_separator(count, inner, out);
                    count += 1;
                    write_quoted(key, out);
                    out.extend_from_slice(b": ");
                    value.write_below(above + 1, inner, out);
                }
                write_end(count, indent, b'}', out);
            }
            JsonType::Array => {
                out.push(b'[');
                let mut count = 0;
                for value in self.elements() {
                    write_separator(count, inner, out);
                    count += 1;
                    value.write_below(above + 1, inner, out);
                }
                write_end(count, indent, b']', out);
            }
            _ => self.write_scalar(out),
        }
    }

    fn write_scalar(self, out: &mut Vec<u8>) {
        match self.json_type() {
            JsonType::Boolean if self.as_bool() == Some(true) => out.extend_from_slice(b"true"),
            JsonType::Boolean => out.extend_from_slice(b"false"),
            JsonType::Integer => number::write_i64(self.as_i64().unwrap_or(0), out),
            JsonType::UnsignedInteger => number::write_u64(self.as_u64().unwrap_or(0), out),
            JsonType::Double => write_double(self.as_f64().unwrap_or(0.0), out),
            JsonType::Decimal => self.as_decimal().unwrap_or_default().write_to(out),
            JsonType::String => write_quoted(self.as_str().unwrap_or_default(), out),
            JsonType::Date => {
                out.push(b'"');
                self.as_time().unwrap_or_default().write_date_to(out);
                out.push(b'"');
            }
            JsonType::DateTime | JsonType::Timestamp => {
                out.push(b'"');
                self.as_time().unwrap_or_default().write_to(6, out);
                out.push(b'"');
            }
            JsonType::Time => {
                out.push(b'"');
                self.as_duration().unwrap_or_default().write_to(6, out);
                out.push(b'"');
            }
            JsonType::Opaque => {
                let (code, bytes) =
                    self.as_opaque().map_or((0, &[][..]), |(code, bytes)| (u8::from(code), bytes));
                out.extend_from_slice(format!("\"base64:type{code}:").as_bytes());
                write_base64(bytes, out);
                out.push(b'"');
            }
            JsonType::Null | JsonType::Object | JsonType::Array => out.extend_from_slice(b"null"),
        }
    }
}

impl fmt::Display for JsonRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write_to(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

fn write_separator(count: usize, indent: Option<usize>, out: &mut Vec<u8>) {
    match indent {
        None if count > 0 => out.extend_from_slice(b", "),
        None => {}
        Some(levels) => {
            out.extend_from_slice(if count > 0 { b",\n" } else { b"\n" });
            out.resize(out.len() + levels * 2, b' ');
        }
    }
}

fn write_end(count: usize, indent: Option<usize>, mark: u8, out: &mut Vec<u8>) {
    if let (Some(levels), true) = (indent, count > 0) {
        out.push(b'\n');
        out.resize(out.len() + levels * 2, b' ');
    }
    out.push(mark);
}

/// A double keeps its point, so that it stays one when it is parsed again.
fn write_double(value: f64, out: &mut Vec<u8>) {
    let start = out.len();
    number::write_f64(value, out);
    if !out[start..].iter().any(|byte| matches!(byte, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
}

/// Appends a string in quotation marks, as JSON_QUOTE() does.
pub(crate) fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for position in 0..4 {
            let index = bits >> (18 - 6 * position) & 63;
            out.push(if position <= group.len() { ALPHABET[index as usize] } else { b'=' });
        }
    }
}
