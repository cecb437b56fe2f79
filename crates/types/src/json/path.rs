//! Paths into documents: `$.key`, `$."any key"`, `$[3]`, `$[last-1]`, `$[1 to 3]`, `$.*`, `$[*]`, `$**.key`.

use std::fmt;

use super::{JSON_DEPTH_MAX, JsonError, JsonRef, JsonType, parse, print};

/// A parsed path such as `$.a[3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    legs: Vec<PathLeg>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathLeg {
    /// `.key`
    Key(String),
    /// `.*`
    AnyKey,
    /// `[3]`, `[last-1]`
    Index(ArrayIndex),
    /// `[*]`
    AnyIndex,
    /// `[1 to 3]`, both ends included
    Range(ArrayIndex, ArrayIndex),
    /// `**`: the value itself and everything in it
    Ellipsis,
}

/// A position in an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrayIndex {
    /// From the start, 0 is the first.
    FromStart(usize),
    /// From the end, 0 is the last.
    FromEnd(usize),
}

impl ArrayIndex {
    /// The position in an array of this length, if it is one.
    pub fn position(self, len: usize) -> Option<usize> {
        match self {
            Self::FromStart(position) => (position < len).then_some(position),
            Self::FromEnd(distance) => len.checked_sub(1)?.checked_sub(distance),
        }
    }
}

impl JsonPath {
    /// Parses a path.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let mut parser = PathParser { text, at: 0 };
        parser.path().ok_or(JsonError::InvalidPath(text[..parser.at.min(text.len())].chars().count() + 1))
    }

    /// The steps.
    pub fn legs(&self) -> &[PathLeg] {
        &self.legs
    }

    /// The path made of these steps.
    pub fn from_legs(legs: Vec<PathLeg>) -> Self {
        Self { legs }
    }

    /// May it lead to several places?
    pub fn is_wildcard(&self) -> bool {
        self.legs.iter().any(|leg| {
            matches!(leg, PathLeg::AnyKey | PathLeg::AnyIndex | PathLeg::Range(..) | PathLeg::Ellipsis)
        })
    }

    /// Gives all values that the path leads to, in order of the document. A scalar or object is an array of itself to `[0]`
    /// and `[last]`.
    pub(super) fn walk<'a>(&self, value: JsonRef<'a>, take: &mut impl FnMut(JsonRef<'a>)) {
        walk(value, &self.legs, 0, take);
    }
}

fn walk<'a>(value: JsonRef<'a>, legs: &[PathLeg], above: usize, take: &mut impl FnMut(JsonRef<'a>)) {
    if above > 2 * JSON_DEPTH_MAX {
        return;
    }
    let Some((leg, rest)) = legs.split_first() else { return take(value) };
    let is_array = value.json_type() == JsonType::Array;
    match leg {
        PathLeg::Key(key) => {
            if let Some(found) = value.get(key) {
                walk(found, rest, above + 1, take);
            }
        }
        PathLeg::AnyKey => value.members().for_each(|(_, found)| walk(found, rest, above + 1, take)),
        PathLeg::Index(index) if is_array => {
            if let Some(found) = index.position(value.length()).and_then(|position| value.element(position)) {
                walk(found, rest, above + 1, take);
            }
        }
        PathLeg::Index(index) => {
            if index.position(1).is_some() {
                walk(value, rest, above + 1, take);
            }
        }
        PathLeg::AnyIndex => value.elements().for_each(|found| walk(found, rest, above + 1, take)),
        PathLeg::Range(from, to) => {
            let len = if is_array { value.length() } else { 1 };
            let (from, to) = (clamped(*from, len), clamped(*to, len));
            for position in from.max(0)..=to.min(len as i64 - 1) {
                match is_array {
                    true => value
                        .element(position as usize)
                        .into_iter()
                        .for_each(|found| walk(found, rest, above + 1, take)),
                    false => walk(value, rest, above + 1, take),
                }
            }
        }
        PathLeg::Ellipsis => {
            walk(value, rest, above + 1, take);
            if is_array {
                value.elements().for_each(|found| walk(found, legs, above + 1, take));
            } else {
                value.members().for_each(|(_, found)| walk(found, legs, above + 1, take));
            }
        }
    }
}

/// A position that may lie outside the array.
fn clamped(index: ArrayIndex, len: usize) -> i64 {
    let signed = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    match index {
        ArrayIndex::FromStart(position) => signed(position),
        ArrayIndex::FromEnd(distance) => (signed(len) - 1).saturating_sub(signed(distance)),
    }
}

struct PathParser<'a> {
    text: &'a str,
    /// Where the parser stands: after a failure, about where the error is.
    at: usize,
}

impl PathParser<'_> {
    fn path(&mut self) -> Option<JsonPath> {
        self.skip_space();
        self.expect("$")?;
        let mut legs = Vec::new();
        loop {
            self.skip_space();
            if self.at == self.text.len() {
                // `**` needs something to look for.
                return (legs.last() != Some(&PathLeg::Ellipsis)).then_some(JsonPath { legs });
            }
            legs.push(self.leg()?);
        }
    }

    fn leg(&mut self) -> Option<PathLeg> {
        if self.take("**") {
            return Some(PathLeg::Ellipsis);
        }
        if self.take("[") {
            return self.index_leg();
        }
        self.expect(".")?;
        self.skip_space();
        if self.take("*") {
            return Some(PathLeg::AnyKey);
        }
        if self.take("\"") {
            let (key, len) = parse::unescape(self.rest()).ok()?;
            self.at += len;
            return Some(PathLeg::Key(key));
        }
        let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
        let len = self.rest().find(|character| !is_part(character)).unwrap_or(self.rest().len());
        let key = &self.rest()[..len];
        if key.is_empty() || key.starts_with(|character: char| character.is_ascii_digit()) {
            return None;
        }
        let key = key.to_owned();
        self.at += len;
        Some(PathLeg::Key(key))
    }

    fn index_leg(&mut self) -> Option<PathLeg> {
        self.skip_space();
        let leg = if self.take("*") {
            PathLeg::AnyIndex
        } else {
            let from = self.index()?;
            self.skip_space();
            if self.take("to ") {
                self.skip_space();
                PathLeg::Range(from, self.index()?)
            } else {
                PathLeg::Index(from)
            }
        };
        self.skip_space();
        self.expect("]")?;
        Some(leg)
    }

    fn index(&mut self) -> Option<ArrayIndex> {
        if !self.take("last") {
            return self.number().map(ArrayIndex::FromStart);
        }
        self.skip_space();
        if !self.take("-") {
            return Some(ArrayIndex::FromEnd(0));
        }
        self.skip_space();
        self.number().map(ArrayIndex::FromEnd)
    }

    /// Indexes have 32 bits.
    fn number(&mut self) -> Option<usize> {
        let len = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = self.rest()[..len].parse().ok()?;
        self.at += len;
        usize::try_from(number).ok()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at += self.rest().bytes().take_while(u8::is_ascii_whitespace).count();
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn expect(&mut self, token: &str) -> Option<()> {
        self.take(token).then_some(())
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.legs.iter().try_for_each(|leg| leg.fmt(f))
    }
}

impl fmt::Display for PathLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => {
                let is_plain = !key.is_empty()
                    && !key.starts_with(|character: char| character.is_ascii_digit())
                    && key
                        .chars()
                        .all(|character| character.is_alphanumeric() || matches!(character, '_' | '$'));
                if is_plain {
                    return write!(f, ".{key}");
                }
                let mut quoted = Vec::new();
                print::write_quoted(key, &mut quoted);
                write!(f, ".{}", String::from_utf8_lossy(&quoted))
            }
            Self::AnyKey => f.write_str(".*"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::AnyIndex => f.write_str("[*]"),
            Self::Range(from, to) => write!(f, "[{from} to {to}]"),
            Self::Ellipsis => f.write_str("**"),
        }
    }
}

impl fmt::Display for ArrayIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromStart(position) => write!(f, "{position}"),
            Self::FromEnd(0) => f.write_str("last"),
            Self::FromEnd(distance) => write!(f, "last-{distance}"),
        }
    }
}
