//! Text to lexemes.
//!
//! A [`Lexeme`] is a kind and a byte range: nothing is copied. Comments vanish here; executable comments (`/*!40101 .. */`,
//! `/*T! .. */`, `/*T![feature] .. */`) are spliced in, and optimizer hints come out as lexemes of their own. Contents are
//! decoded on demand (`crate::literal`), so that a string nobody looks at costs only its scan.
//!
//! The text is bytes: dump programs put binary data between quotes. Everything outside quotes has to be UTF-8.

use tidewater_types::SqlMode;

use crate::error::ParseError;

/// `/*!ddddd .. */` is executed up to this version; above it (MariaDB's 10.x and 11.x) it is a comment.
const EXECUTABLE_COMMENT_VERSION_MAX: u32 = 80_999;

/// Parentheses nested deeper than this are refused.
pub(crate) const NESTING_MAX: usize = 200;

/// TiDB features whose `/*T![feature] .. */` comments are executed.
const FEATURES: &[&str] = &[
    "auto_rand",
    "auto_rand_base",
    "auto_id_cache",
    "clustered_index",
    "force_inc",
    "global_index",
    "placement",
    "pre_split",
    "ttl",
    "resource_group",
];

/// What a lexeme is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An unquoted word: keyword or identifier.
    Word,
    /// `` `name` ``, or `"name"` under ANSI_QUOTES. The range includes the quotes.
    QuotedName,
    /// `'..'` or `".."`, quotes included.
    String,
    /// `N'..'`.
    NationalString,
    /// Digits only.
    Integer,
    /// Digits with a point.
    Decimal,
    /// With an exponent.
    Float,
    /// `0x..` or `x'..'`.
    Hex,
    /// `0b..` or `b'..'`.
    Bit,
    /// `\N`.
    NullEscape,
    /// `?`.
    Parameter,
    /// `@name`, `` @`name` ``, `@'name'`.
    UserVariable,
    /// `@@[scope.]name`.
    SystemVariable,
    /// `/*+ .. */`, delimiters included.
    Hint,
    Comma,
    LeftParen,
    RightParen,
    Period,
    Semicolon,
    Colon,
    Assign,
    Eq,
    NullSafeEq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Pipe,
    PipePipe,
    Ampersand,
    AndAnd,
    Caret,
    Tilde,
    Bang,
    ShiftLeft,
    ShiftRight,
    Arrow,
    LongArrow,
    LeftBrace,
    RightBrace,
    At,
    /// The end of the text.
    End,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexeme {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
    /// For a [`Kind::Parameter`]: its number, from zero, within the statement.
    pub ordinal: u32,
}

/// Splits a text into the lexemes of one statement after the other.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    position: usize,
    sql_mode: SqlMode,
    /// Inside an executable comment, whose end is then no error.
    in_comment: bool,
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn is_name_part(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit()
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a [u8], position: usize, sql_mode: SqlMode) -> Self {
        Self { text, position, sql_mode, in_comment: false }
    }

    /// Where the next statement starts.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The lexemes of the next statement, up to and including its semicolon, and one [`Kind::End`] after them.
    pub fn statement(&mut self, into: &mut Vec<Lexeme>) -> Result<(), ParseError> {
        let mut depth = 0usize;
        let mut parameters = 0u32;
        loop {
            self.skip_blanks(into.last())?;
            let start = self.position;
            let kind = self.next_kind(into.last())?;
            let mut lexeme = Lexeme { kind, start: start as u32, end: self.position as u32, ordinal: 0 };
            match kind {
                Kind::LeftParen => {
                    depth += 1;
                    if depth > NESTING_MAX {
                        return Err(ParseError::TooDeep);
                    }
                }
                Kind::RightParen => depth = depth.saturating_sub(1),
                Kind::Parameter => {
                    lexeme.ordinal = parameters;
                    parameters += 1;
                }
                Kind::Word if std::str::from_utf8(&self.text[start..self.position]).is_err() => {
                    return Err(self.syntax_error(start));
                }
                _ => {}
            }
            into.push(lexeme);
            match kind {
                Kind::End => return Ok(()),
                Kind::Semicolon => {
                    let end = self.position as u32;
                    into.push(Lexeme { kind: Kind::End, start: end, end, ordinal: 0 });
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.position + ahead).copied().unwrap_or(0)
    }

    fn syntax_error(&self, position: usize) -> ParseError {
        ParseError::at(self.text, position)
    }

    /// Skips white space and comments; stops before a hint.
    fn skip_blanks(&mut self, previous: Option<&Lexeme>) -> Result<(), ParseError> {
        loop {
            match self.peek(0) {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.position += 1,
                b'#' => self.skip_line(),
                b'-' if self.peek(1) == b'-' && (self.peek(2) <= b' ' || self.peek(2) == 0x7f) => {
                    self.skip_line()
                }
                b'/' if self.peek(1) == b'*' => {
                    if self.peek(2) == b'+' && previous.is_some_and(|lexeme| self.takes_hint(lexeme)) {
                        return Ok(());
                    }
                    self.comment()?;
                }
                b'*' if self.in_comment && self.peek(1) == b'/' => {
                    self.position += 2;
                    self.in_comment = false;
                }
                _ => return Ok(()),
            }
        }
    }

    fn takes_hint(&self, lexeme: &Lexeme) -> bool {
        lexeme.kind == Kind::Word && {
            let word = &self.text[lexeme.start as usize..lexeme.end as usize];
            [&b"SELECT"[..], b"INSERT", b"REPLACE", b"UPDATE", b"DELETE"]
                .iter()
                .any(|verb| word.eq_ignore_ascii_case(verb))
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.position..];
        self.position += rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
    }

    /// At `/*`: skips the comment, or enters it when it is an executable one.
    fn comment(&mut self) -> Result<(), ParseError> {
        let start = self.position;
        if !self.in_comment {
            if self.peek(2) == b'!' {
                let digits = self.text[self.position + 3..]
                    .iter()
                    .take(6)
                    .take_while(|byte| byte.is_ascii_digit())
                    .count();
                let digits = if digits < 5 { 0 } else { digits };
                let version = self.text[self.position + 3..self.position + 3 + digits]
                    .iter()
                    .fold(0, |version, digit| version * 10 + u32::from(digit - b'0'));
                if version <= EXECUTABLE_COMMENT_VERSION_MAX {
                    self.position += 3 + digits;
                    self.in_comment = true;
                    return Ok(());
                }
            } else if self.peek(2) == b'T' && self.peek(3) == b'!' {
                let mut at = self.position + 4;
                let mut known = true;
                if self.text.get(at) == Some(&b'[') {
                    let rest = &self.text[at + 1..];
                    let Some(close) = rest.iter().take(256).position(|&byte| byte == b']') else {
                        return Err(self.syntax_error(start));
                    };
                    known = rest[..close].split(|&byte| byte == b',').all(|feature| {
                        let feature = feature.trim_ascii();
                        FEATURES.iter().any(|known| known.as_bytes() == feature)
                    });
                    at += close + 2;
                }
                if known {
                    self.position = at;
                    self.in_comment = true;
                    return Ok(());
                }
            }
        }
        let rest = &self.text[self.position + 2..];
        match find(rest, b"*/") {
            Some(at) => {
                self.position += 2 + at + 2;
                Ok(())
            }
            // MySQL reads an unterminated comment to the end of the text and then misses the rest of the statement.
            None => Err(self.syntax_error(start)),
        }
    }

    fn next_kind(&mut self, previous: Option<&Lexeme>) -> Result<Kind, ParseError> {
        let start = self.position;
        let Some(&byte) = self.text.get(start) else {
            return if self.in_comment { Err(self.syntax_error(start)) } else { Ok(Kind::End) };
        };
        // A NUL at the end is the terminator some clients send along.
        if byte == 0 && start + 1 == self.text.len() {
            self.position = self.text.len();
            return Ok(Kind::End);
        }
        let after_period =
            previous.is_some_and(|lexeme| lexeme.kind == Kind::Period && lexeme.end as usize == start);
        let kind = match byte {
            b'\'' => return self.string(start, b'\'', Kind::String),
            b'"' if self.sql_mode.contains(SqlMode::ANSI_QUOTES) => return self.quoted_name(b'"'),
            b'"' => return self.string(start, b'"', Kind::String),
            b'`' => return self.quoted_name(b'`'),
            b'0'..=b'9' if after_period => {
                self.name();
                return Ok(Kind::Word);
            }
            b'0'..=b'9' => return self.number(),
            b'.' => {
                let after_name = previous.is_some_and(|lexeme| {
                    matches!(lexeme.kind, Kind::Word | Kind::QuotedName) && lexeme.end as usize == start
                });
                if !after_name && self.peek(1).is_ascii_digit() {
                    return self.number();
                }
                Kind::Period
            }
            b'x' | b'X' if self.peek(1) == b'\'' && !after_period => {
                let kind = self.string(start + 1, b'\'', Kind::Hex)?;
                let digits = &self.text[start + 2..self.position - 1];
                if digits.len() % 2 == 1 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.syntax_error(start));
                }
                return Ok(kind);
            }
            b'b' | b'B' if self.peek(1) == b'\'' && !after_period => {
                let kind = self.string(start + 1, b'\'', Kind::Bit)?;
                let digits = &self.text[start + 2..self.position - 1];
                if !digits.iter().all(|digit| matches!(digit, b'0' | b'1')) {
                    return Err(self.syntax_error(start));
                }
                return Ok(kind);
            }
            b'n' | b'N' if self.peek(1) == b'\'' && !after_period => {
                return self.string(start + 1, b'\'', Kind::NationalString);
            }
            b'@' => return self.variable(),
            b'\\' if self.peek(1) == b'N' => {
                self.position += 2;
                return Ok(Kind::NullEscape);
            }
            byte if is_name_start(byte) => {
                self.name();
                return Ok(Kind::Word);
            }
            b'/' if self.peek(1) == b'*' => {
                // Only a hint gets here.
                let Some(at) = find(&self.text[start + 3..], b"*/") else {
                    return Err(self.syntax_error(start));
                };
                self.position = start + 3 + at + 2;
                return Ok(Kind::Hint);
            }
            b',' => Kind::Comma,
            b'(' => Kind::LeftParen,
            b')' => Kind::RightParen,
            b';' => Kind::Semicolon,
            b'?' => Kind::Parameter,
            b'=' => Kind::Eq,
            b'+' => Kind::Plus,
            b'*' => Kind::Star,
            b'/' => Kind::Slash,
            b'%' => Kind::Percent,
            b'^' => Kind::Caret,
            b'~' => Kind::Tilde,
            b'{' => Kind::LeftBrace,
            b'}' => Kind::RightBrace,
            b':' if self.peek(1) == b'=' => return self.take(2, Kind::Assign),
            b':' => Kind::Colon,
            b'-' if self.peek(1) == b'>' && self.peek(2) == b'>' => return self.take(3, Kind::LongArrow),
            b'-' if self.peek(1) == b'>' => return self.take(2, Kind::Arrow),
            b'-' => Kind::Minus,
            b'<' if self.peek(1) == b'=' && self.peek(2) == b'>' => return self.take(3, Kind::NullSafeEq),
            b'<' if self.peek(1) == b'=' => return self.take(2, Kind::Le),
            b'<' if self.peek(1) == b'>' => return self.take(2, Kind::Ne),
            b'<' if self.peek(1) == b'<' => return self.take(2, Kind::ShiftLeft),
            b'<' => Kind::Lt,
            b'>' if self.peek(1) == b'=' => return self.take(2, Kind::Ge),
            b'>' if self.peek(1) == b'>' => return self.take(2, Kind::ShiftRight),
            b'>' => Kind::Gt,
            b'!' if self.peek(1) == b'=' => return self.take(2, Kind::Ne),
            b'!' => Kind::Bang,
            b'|' if self.peek(1) == b'|' => return self.take(2, Kind::PipePipe),
            b'|' => Kind::Pipe,
            b'&' if self.peek(1) == b'&' => return self.take(2, Kind::AndAnd),
            b'&' => Kind::Ampersand,
            _ => return Err(self.syntax_error(start)),
        };
        self.take(1, kind)
    }

    fn take(&mut self, bytes: usize, kind: Kind) -> Result<Kind, ParseError> {
        self.position += bytes;
        Ok(kind)
    }

    fn name(&mut self) {
        let rest = &self.text[self.position..];
        self.position += rest.iter().position(|&byte| !is_name_part(byte)).unwrap_or(rest.len());
    }

    /// The quote is at `at`; the lexeme started before or there.
    fn string(&mut self, at: usize, quote: u8, kind: Kind) -> Result<Kind, ParseError> {
        let escapes = !self.sql_mode.contains(SqlMode::NO_BACKSLASH_ESCAPES);
        let mut position = at + 1;
        loop {
            match self.text.get(position) {
                None => return Err(self.syntax_error(self.position)),
                Some(b'\\') if escapes => position += 2,
                Some(&byte) if byte == quote => {
                    if self.text.get(position + 1) == Some(&quote) {
                        position += 2;
                    } else {
                        self.position = position + 1;
                        return Ok(kind);
                    }
                }
                Some(_) => position += 1,
            }
        }
    }

    fn quoted_name(&mut self, quote: u8) -> Result<Kind, ParseError> {
        let start = self.position;
        let mut position = start + 1;
        loop {
            match self.text.get(position) {
                None => return Err(self.syntax_error(start)),
                Some(&byte) if byte == quote => {
                    if self.text.get(position + 1) != Some(&quote) {
                        break;
                    }
                    position += 2;
                }
                Some(_) => position += 1,
            }
        }
        if position == start + 1 || std::str::from_utf8(&self.text[start..position]).is_err() {
            return Err(self.syntax_error(start));
        }
        self.position = position + 1;
        Ok(Kind::QuotedName)
    }

    /// `12`, `1.5`, `.5`, `1e3`, `0xff`, `0b1`; `12abc` is a name.
    fn number(&mut self) -> Result<Kind, ParseError> {
        let start = self.position;
        let digits_from = |mut at: usize, accept: fn(&u8) -> bool| {
            while self.text.get(at).is_some_and(accept) {
                at += 1;
            }
            at
        };
        let byte_at = |at: usize| self.text.get(at).copied().unwrap_or(0);
        if byte_at(start) == b'0' && matches!(byte_at(start + 1), b'x' | b'b') {
            let (accept, kind): (fn(&u8) -> bool, _) = match byte_at(start + 1) {
                b'x' => (u8::is_ascii_hexdigit, Kind::Hex),
                _ => (|digit| matches!(digit, b'0' | b'1'), Kind::Bit),
            };
            let end = digits_from(start + 2, accept);
            if end > start + 2 && !is_name_part(byte_at(end)) {
                self.position = end;
                return Ok(kind);
            }
            self.name();
            return Ok(Kind::Word);
        }
        let mut end = digits_from(start, u8::is_ascii_digit);
        let mut kind = Kind::Integer;
        if byte_at(end) == b'.' {
            end = digits_from(end + 1, u8::is_ascii_digit);
            kind = Kind::Decimal;
        }
        if matches!(byte_at(end), b'e' | b'E') {
            let sign = usize::from(matches!(byte_at(end + 1), b'+' | b'-'));
            let exponent_end = digits_from(end + 1 + sign, u8::is_ascii_digit);
            if exponent_end > end + 1 + sign {
                self.position = exponent_end;
                return Ok(Kind::Float);
            }
        }
        if kind == Kind::Integer && is_name_part(byte_at(end)) {
            self.name();
            return Ok(Kind::Word);
        }
        self.position = end;
        Ok(kind)
    }

    /// At `@`.
    fn variable(&mut self) -> Result<Kind, ParseError> {
        let start = self.position;
        let system = self.peek(1) == b'@';
        self.position += 1 + usize::from(system);
        let name_chars = |lexer: &mut Self| {
            while is_name_part(lexer.peek(0)) || lexer.peek(0) == b'.' {
                lexer.position += 1;
            }
        };
        match self.peek(0) {
            b'`' => {
                self.quoted_name(b'`')?;
                while system && self.peek(0) == b'.' {
                    self.position += 1;
                    match self.peek(0) {
                        b'`' => {
                            self.quoted_name(b'`')?;
                        }
                        _ => name_chars(self),
                    }
                }
            }
            quote @ (b'\'' | b'"') if !system => {
                self.string(self.position, quote, Kind::UserVariable)?;
            }
            _ => {
                name_chars(self);
                if system && self.text[self.position - 1] == b'.' && self.peek(0) == b'`' {
                    self.quoted_name(b'`')?;
                }
            }
        }
        if std::str::from_utf8(&self.text[start..self.position]).is_err() {
            return Err(self.syntax_error(start));
        }
        match (system, self.position - start) {
            (true, 2) => Err(self.syntax_error(start)),
            (true, _) => Ok(Kind::SystemVariable),
            // `'user'@'host'` and `u@h` need the sign alone; `@` with nothing behind it is one as well.
            (false, 1) => Ok(Kind::At),
            (false, _) => Ok(Kind::UserVariable),
        }
    }
}

fn find(haystack: &[u8], needle: &[u8; 2]) -> Option<usize> {
    haystack.windows(2).position(|window| window == needle)
}
