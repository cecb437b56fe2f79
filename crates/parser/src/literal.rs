//! What stands in a lexeme: strings, names and numbers decoded.

use tidewater_types::SqlMode;

use crate::ast::{BytesLiteral, Literal, StringLiteral};
use crate::lexer::{Kind, Lexeme};

/// The contents of a quoted string (quotes included in `source`, a prefix like `N` not), appended to `into`.
pub(crate) fn decode_string(source: &[u8], sql_mode: SqlMode, into: &mut Vec<u8>) {
    let quote = source[0];
    let body = &source[1..source.len() - 1];
    let escapes = !sql_mode.contains(SqlMode::NO_BACKSLASH_ESCAPES);
    if !body.iter().any(|&byte| byte == quote || (byte == b'\\' && escapes)) {
        into.extend_from_slice(body);
        return;
    }
    let mut bytes = body.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if escapes => match bytes.next() {
                Some(b'0') => into.push(0),
                Some(b'\'') => into.push(b'\''),
                Some(b'"') => into.push(b'"'),
                Some(b'b') => into.push(8),
                Some(b'n') => into.push(b'\n'),
                Some(b'r') => into.push(b'\r'),
                Some(b't') => into.push(b'\t'),
                Some(b'Z') => into.push(26),
                // LIKE wants to see these with their backslash.
                Some(wildcard @ (b'%' | b'_')) => into.extend([b'\\', wildcard]),
                Some(other) => into.push(other),
                None => {}
            },
            byte if byte == quote => {
                bytes.next();
                into.push(quote);
            }
            byte => into.push(byte),
        }
    }
}

/// A quoted name without its quotes.
pub(crate) fn decode_name(source: &str) -> String {
    let quote = &source[..1];
    let body = &source[1..source.len() - 1];
    if body.contains(quote) { body.replace(&quote.repeat(2), quote) } else { body.to_owned() }
}

/// `@name` without the sign and the quotes.
pub(crate) fn decode_user_variable(source: &[u8], sql_mode: SqlMode) -> String {
    let name = &source[1..];
    match name.first() {
        Some(b'`') => decode_name(&String::from_utf8_lossy(name)),
        Some(b'\'' | b'"') => {
            let mut bytes = Vec::with_capacity(name.len());
            decode_string(name, sql_mode, &mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => String::from_utf8_lossy(name).into_owned(),
    }
}

/// An unsigned integer, exact whatever its size.
pub(crate) fn integer(digits: &str) -> Literal {
    if let Ok(value) = digits.parse::<i64>() {
        return Literal::Int(value);
    }
    if let Ok(value) = digits.parse::<u64>() {
        return Literal::UInt(value);
    }
    let significant = digits.trim_start_matches('0');
    Literal::Decimal(significant.to_owned())
}

/// A number with a point: a zero is put before a leading point and a trailing point goes.
pub(crate) fn decimal(text: &str) -> Literal {
    let text = text.strip_suffix('.').unwrap_or(text);
    Literal::Decimal(if text.starts_with('.') { format!("0{text}") } else { text.to_owned() })
}

/// The bytes of `0x..`, `x'..'`.
fn hex(source: &[u8]) -> Vec<u8> {
    let digits = if source[1] == b'\'' { &source[2..source.len() - 1] } else { &source[2..] };
    let value = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
    let (first, rest) = digits.split_at(digits.len() % 2);
    first
        .iter()
        .map(|&digit| value(digit))
        .chain(rest.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])))
        .collect()
}

/// The bytes of `0b..`, `b'..'`.
fn bits(source: &[u8]) -> Vec<u8> {
    let digits = if source[1] == b'\'' { &source[2..source.len() - 1] } else { &source[2..] };
    let byte = |digits: &[u8]| digits.iter().fold(0, |byte, digit| byte << 1 | (digit - b'0'));
    let (first, rest) = digits.split_at(digits.len() % 8);
    let first = (!first.is_empty()).then(|| byte(first));
    first.into_iter().chain(rest.chunks(8).map(byte)).collect()
}

/// The constant of one lexeme, if that is what the lexeme is. Neighbouring strings and introducers are the caller's.
pub(crate) fn simple(lexeme: Lexeme, text: &[u8], sql_mode: SqlMode) -> Option<Literal> {
    let source = &text[lexeme.start as usize..lexeme.end as usize];
    // Numbers are ASCII by construction.
    let number = || std::str::from_utf8(source).unwrap_or_default();
    Some(match lexeme.kind {
        Kind::Integer => integer(number()),
        Kind::Decimal => decimal(number()),
        Kind::Float => Literal::Double(number().parse().unwrap_or(f64::INFINITY)),
        Kind::String => {
            let mut value = Vec::with_capacity(source.len() - 2);
            decode_string(source, sql_mode, &mut value);
            Literal::String(StringLiteral { charset: None, value })
        }
        Kind::NationalString => {
            let mut value = Vec::with_capacity(source.len() - 3);
            decode_string(&source[1..], sql_mode, &mut value);
            Literal::String(StringLiteral { charset: Some("utf8".to_owned()), value })
        }
        Kind::Hex => Literal::Hex(BytesLiteral { charset: None, value: hex(source) }),
        Kind::Bit => Literal::Bit(BytesLiteral { charset: None, value: bits(source) }),
        Kind::NullEscape => Literal::Null,
        _ => return None,
    })
}
