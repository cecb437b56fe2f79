//! JSON texts: RFC 8259, with the complaints of MySQL's parser.

use std::collections::BTreeMap;

use super::{JSON_DEPTH_MAX, JsonError, JsonValue};

impl JsonValue {
    /// Parses a JSON text. Of members with the same key the last one counts.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let mut parser = Parser { text, at: 0 };
        parser.skip_space();
        if parser.peek().is_none() {
            return Err(parser.error("The document is empty."));
        }
        let value = parser.value(1)?;
        parser.skip_space();
        match parser.peek() {
            None => Ok(value),
            Some(_) => Err(parser.error("The document root must not be followed by other values.")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<JsonValue, JsonError> {
        if depth > JSON_DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(JsonValue::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.literal(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<JsonValue, JsonError> {
        let mut members = BTreeMap::new();
        self.at += 1;
        self.skip_space();
        if self.take(b'}') {
            return Ok(JsonValue::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.error("Missing a name for object member."));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return Err(self.error("Missing a colon after a name of object member."));
            }
            self.skip_space();
            members.insert(key, self.value(depth + 1)?);
            self.skip_space();
            if self.take(b'}') {
                return Ok(JsonValue::Object(members));
            }
            if !self.take(b',') {
                return Err(self.error("Missing a comma or } after an object member."));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<JsonValue, JsonError> {
        let mut elements = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.take(b']') {
            return Ok(JsonValue::Array(elements));
        }
        loop {
            self.skip_space();
            elements.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(JsonValue::Array(elements));
            }
            if !self.take(b',') {
                return Err(self.error("Missing a comma or ] after an array element."));
            }
        }
    }

    /// A string; the opening quotation mark is next.
    fn string(&mut self) -> Result<String, JsonError> {
        let (value, len) = unescape(&self.text[self.at + 1..])
            .map_err(|(reason, at)| JsonError::InvalidText { reason, position: self.at + 1 + at })?;
        self.at += 1 + len;
        Ok(value)
    }

    fn number(&mut self) -> Result<JsonValue, JsonError> {
        let start = self.at;
        self.take(b'-');
        let whole = self.digits();
        let first = self.text.as_bytes().get(self.at - whole);
        if whole == 0 || (whole > 1 && first == Some(&b'0')) {
            return Err(self.error("Invalid value."));
        }
        let mut is_integer = true;
        if self.take(b'.') {
            is_integer = false;
            if self.digits() == 0 {
                return Err(self.error("Miss fraction part in number."));
            }
        }
        if self.take(b'e') || self.take(b'E') {
            is_integer = false;
            let _ = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return Err(self.error("Miss exponent in number."));
            }
        }
        let number = &self.text[start..self.at];
        if is_integer {
            if let Ok(value) = number.parse() {
                return Ok(JsonValue::Int(value));
            }
            if let Ok(value) = number.parse() {
                return Ok(JsonValue::UInt(value));
            }
        }
        match number.parse() {
            Ok(value) if f64::is_finite(value) => Ok(JsonValue::Double(value)),
            _ => Err(JsonError::InvalidText {
                reason: "Number too big to be stored in double.",
                position: start,
            }),
        }
    }

    fn literal(&mut self) -> Result<JsonValue, JsonError> {
        let literals =
            [("null", JsonValue::Null), ("true", JsonValue::Bool(true)), ("false", JsonValue::Bool(false))];
        for (name, value) in literals {
            if self.text.as_bytes()[self.at..].starts_with(name.as_bytes()) {
                self.at += name.len();
                return Ok(value);
            }
        }
        Err(self.error("Invalid value."))
    }

    fn digits(&mut self) -> usize {
        let len = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += len;
        len
    }

    fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn error(&self, reason: &'static str) -> JsonError {
        JsonError::InvalidText { reason, position: self.at }
    }
}

/// The contents of a quoted string up to its closing mark, and how many bytes it took with the mark; else what is wrong where.
pub(super) fn unescape(text: &str) -> Result<(String, usize), (&'static str, usize)> {
    let mut value = String::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let plain =
            rest.find(|character| matches!(character, '"' | '\\') || character < ' ').unwrap_or(rest.len());
        value.push_str(&rest[..plain]);
        at += plain;
        match text.as_bytes().get(at) {
            Some(b'"') => return Ok((value, at + 1)),
            Some(b'\\') => {
                let (character, len) = escape(&text.as_bytes()[at + 1..]).map_err(|reason| (reason, at))?;
                value.push(character);
                at += 1 + len;
            }
            Some(_) => return Err(("Invalid encoding in string.", at)),
            None => return Err(("Missing a closing quotation mark in string.", at)),
        }
    }
}

/// What follows a backslash.
fn escape(text: &[u8]) -> Result<(char, usize), &'static str> {
    let simple = match text.first() {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let high = hex(&text[1..]).ok_or("Incorrect hex digit after \\u escape in string.")?;
            if let Some(character) = char::from_u32(high) {
                return Ok((character, 5));
            }
            const SURROGATE: &str = "The surrogate pair in string is invalid.";
            let rest = text[5..].strip_prefix(b"\\u").ok_or(SURROGATE)?;
            let low = hex(rest).filter(|low| (0xdc00..0xe000).contains(low)).ok_or(SURROGATE)?;
            let code_point = 0x10000 + (high.wrapping_sub(0xd800) << 10) + (low - 0xdc00);
            return char::from_u32(code_point).map(|character| (character, 11)).ok_or(SURROGATE);
        }
        _ => return Err("Invalid escape character in string."),
    };
    Ok((simple, 1))
}

fn hex(text: &[u8]) -> Option<u32> {
    text.first_chunk::<4>()?
        .iter()
        .try_fold(0, |value, byte| Some(value << 4 | char::from(*byte).to_digit(16)?))
}
