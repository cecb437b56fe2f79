//! LIKE and REGEXP.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::buffer::BooleanBuffer;
use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};
use tidewater_types::{Collation, Datum, EvalType, FieldType};

use crate::error::ExprError;
use crate::expr::Expr;
use crate::registry::{CallContext, FunctionDef, Inference, Kernel};
use crate::value::{Strings, Value, constant_mask};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    // text, pattern [, escape as a string; '\\' without, '' for none]
    FunctionDef::new("like", 2, 3, infer_like, Kernel::Vector(like)),
    FunctionDef::new("ilike", 2, 3, infer_like, Kernel::Vector(like)),
    FunctionDef::new("regexp", 2, 3, infer_regexp, Kernel::Vector(regexp)),
    FunctionDef::new("regexp_substr", 2, 5, infer_regexp_text, Kernel::Row(regexp_substr)),
    FunctionDef::new("regexp_instr", 2, 6, infer_regexp_instr, Kernel::Row(regexp_instr)),
    FunctionDef::new("regexp_replace", 3, 6, infer_regexp_replace, Kernel::Row(regexp_replace)),
];

fn infer_like(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.derive_collation()?;
    i.cast_all(EvalType::String);
    if i.name == "ilike" {
        i.collation = Collation::Utf8mb4GeneralCi;
    }
    Ok(i.boolean())
}

/// A compiled LIKE pattern.
enum Pattern {
    /// No wildcard.
    Exact(Vec<u8>),
    /// `abc%`
    Prefix(Vec<u8>),
    /// `%abc`
    Suffix(Vec<u8>),
    /// `%abc%`
    Contains(Box<memmem::Finder<'static>>),
    /// `%abc%def%`: pieces in order, the first at the start and the last at the end if so anchored.
    Pieces { pieces: Vec<memmem::Finder<'static>>, anchored_start: bool, anchored_end: bool },
    /// Anything else, character by character.
    General(Vec<Token>),
}

enum Token {
    Char(Vec<u8>),
    Any,
    Many,
}

impl Pattern {
    fn compile(pattern: &[u8], escape: Option<&[u8]>, collation: Collation) -> Self {
        let mut tokens: Vec<Token> = Vec::new();
        let mut rest = pattern;
        while !rest.is_empty() {
            let (char, after) = next_char(rest, collation);
            rest = after;
            match char {
                _ if escape == Some(char) && !rest.is_empty() => {
                    let (escaped, after) = next_char(rest, collation);
                    tokens.push(Token::Char(escaped.to_vec()));
                    rest = after;
                }
                b"%" => {
                    if !matches!(tokens.last(), Some(Token::Many)) {
                        tokens.push(Token::Many);
                    }
                }
                b"_" => tokens.push(Token::Any),
                _ => tokens.push(Token::Char(char.to_vec())),
            }
        }
        // Whole characters that differ under the collation differ in bytes only if the collation compares bytes.
        if !collation.is_bin() || tokens.iter().any(|t| matches!(t, Token::Any)) {
            return Self::General(tokens);
        }
        let mut pieces: Vec<Vec<u8>> = vec![Vec::new()];
        for token in &tokens {
            match token {
                Token::Char(bytes) => pieces.last_mut().expect("never empty").extend_from_slice(bytes),
                Token::Many | Token::Any => pieces.push(Vec::new()),
            }
        }
        let owned = |piece: &Vec<u8>| memmem::Finder::new(piece).into_owned();
        match &pieces[..] {
            [exact] => Self::Exact(exact.clone()),
            [start, end] if end.is_empty() => Self::Prefix(start.clone()),
            [start, end] if start.is_empty() => Self::Suffix(end.clone()),
            [start, middle, end] if start.is_empty() && end.is_empty() => {
                Self::Contains(Box::new(owned(middle)))
            }
            [start, .., end] => Self::Pieces {
                anchored_start: !start.is_empty(),
                anchored_end: !end.is_empty(),
                pieces: pieces.iter().filter(|p| !p.is_empty()).map(owned).collect(),
            },
            [] => Self::Exact(Vec::new()),
        }
    }

    #[inline]
    fn matches(&self, text: &[u8], collation: Collation) -> bool {
        match self {
            Self::Exact(exact) => text == exact.as_slice(),
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::Contains(finder) => finder.find(text).is_some(),
            Self::Pieces { pieces, anchored_start, anchored_end } => {
                matches_pieces(text, pieces, *anchored_start, *anchored_end)
            }
            Self::General(tokens) => matches_tokens(text, tokens, collation),
        }
    }
}

fn matches_pieces(text: &[u8], pieces: &[memmem::Finder<'static>], start: bool, end: bool) -> bool {
    let mut rest = text;
    let mut pieces = pieces;
    if start {
        let Some((first, others)) = pieces.split_first() else { return true };
        let Some(after) = rest.strip_prefix(first.needle()) else { return false };
        (rest, pieces) = (after, others);
    }
    if end {
        let Some((last, others)) = pieces.split_last() else { return rest.is_empty() };
        let Some(before) = rest.strip_suffix(last.needle()) else { return false };
        (rest, pieces) = (before, others);
    }
    for piece in pieces {
        let Some(at) = piece.find(rest) else { return false };
        rest = &rest[at + piece.needle().len()..];
    }
    true
}

/// Greedy with one step back to the last `%`: linear memory, at worst quadratic time.
fn matches_tokens(text: &[u8], tokens: &[Token], collation: Collation) -> bool {
    let (mut at, mut token) = (text, 0);
    let mut retry: Option<(&[u8], usize)> = None;
    loop {
        match tokens.get(token) {
            Some(Token::Many) => {
                token += 1;
                retry = Some((at, token));
                continue;
            }
            Some(Token::Any) if !at.is_empty() => {
                at = next_char(at, collation).1;
                token += 1;
                continue;
            }
            Some(Token::Char(want)) if !at.is_empty() => {
                let (char, after) = next_char(at, collation);
                if same_char(char, want, collation) {
                    at = after;
                    token += 1;
                    continue;
                }
            }
            None if at.is_empty() => return true,
            _ => {}
        }
        match &mut retry {
            Some((from, resume)) if !from.is_empty() => {
                *from = next_char(from, collation).1;
                (at, token) = (from, *resume);
            }
            _ => return false,
        }
    }
}

fn same_char(a: &[u8], b: &[u8], collation: Collation) -> bool {
    if a == b {
        return true;
    }
    if collation.is_bin() {
        return false;
    }
    match (a, b) {
        ([a], [b]) if a.is_ascii() && b.is_ascii() => a.eq_ignore_ascii_case(b),
        // A space would be padding to the collation.
        (b" ", _) | (_, b" ") => false,
        _ => collation.eq(a, b),
    }
}

/// The first character and the rest; a byte for byte strings and for what is no UTF-8.
fn next_char(text: &[u8], collation: Collation) -> (&[u8], &[u8]) {
    let len = match text[0] {
        _ if collation == Collation::Binary => 1,
        0..=0xbf => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    text.split_at(len.min(text.len()))
}

/// LIKE of two texts, compared by bytes.
pub(super) fn like_text(text: &[u8], pattern: &[u8], escape: &[u8]) -> bool {
    let collation = Collation::Utf8mb4Bin;
    let escape = if escape.is_empty() { None } else { Some(escape) };
    Pattern::compile(pattern, escape, collation).matches(text, collation)
}

fn like(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let collation = call.call.collation;
    let (text, pattern) = (args[0].strings(), args[1].strings());
    let escape_of = |row: usize| match args.get(2) {
        None => Some(&b"\\"[..]),
        Some(escape) => escape.strings().get(row).filter(|e| !e.is_empty()),
    };
    let constant = !matches!(pattern, Strings::Column(_)) && !matches!(args.get(2), Some(Value::Array(_)));
    if constant {
        let Some(pattern) = pattern.get(0) else { return Ok(Value::NULL) };
        let compile = || Ok(Pattern::compile(pattern, escape_of(0), collation));
        let literal = call.call.args[1..].iter().all(Expr::is_literal_only);
        let compiled = if literal { call.call.prepared.get_or_make(compile)? } else { Arc::new(compile()?) };
        return Ok(match text {
            Strings::Column(column) => {
                let bits = BooleanBuffer::collect_bool(call.rows, |row| {
                    compiled.matches(column.value(row), collation)
                });
                Value::Boolean(BooleanArray::new(bits, column.nulls().cloned()))
            }
            Strings::Constant(text) => {
                Value::Boolean(constant_mask(text.map(|text| compiled.matches(text, collation)), call.rows))
            }
        });
    }
    let matched = (0..call.rows).map(|row| {
        let (text, pattern) = (text.get(row)?, pattern.get(row)?);
        Some(Pattern::compile(pattern, escape_of(row), collation).matches(text, collation))
    });
    Ok(Value::Boolean(matched.collect()))
}

fn infer_regexp(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.derive_collation()?;
    i.cast_all(EvalType::String);
    Ok(i.boolean())
}

/// MySQL's regular expressions are ICU's; ours differ in that they have no look-around and no back references.
fn compile_regex(pattern: &[u8], flags: &[u8], collation: Collation) -> Result<Regex, ExprError> {
    if pattern.is_empty() {
        return Err(ExprError::Regexp { message: "Illegal argument to a regular expression.".to_owned() });
    }
    let mut insensitive = collation.is_case_insensitive();
    let (mut multi_line, mut dot_all) = (false, false);
    for flag in flags {
        match flag {
            b'i' => insensitive = true,
            b'c' => insensitive = false,
            b'm' => multi_line = true,
            b'n' => dot_all = true,
            b'u' => {}
            _ => return Err(ExprError::WrongArguments { function: "regexp_like".to_owned() }),
        }
    }
    RegexBuilder::new(&String::from_utf8_lossy(pattern))
        .case_insensitive(insensitive)
        .multi_line(multi_line)
        .dot_matches_new_line(dot_all)
        .unicode(collation != Collation::Binary)
        .build()
        .map_err(|error| ExprError::Regexp {
            message: error.to_string().lines().last().unwrap_or_default().to_owned(),
        })
}

fn regexp(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let collation = call.call.collation;
    let (text, pattern) = (args[0].strings(), args[1].strings());
    if matches!(pattern, Strings::Constant(_)) && !matches!(args.get(2), Some(Value::Array(_))) {
        let Some(pattern) = pattern.get(0) else { return Ok(Value::NULL) };
        let flags = match args.get(2) {
            None => &b""[..],
            Some(flags) => match flags.strings().get(0) {
                Some(flags) => flags,
                None => return Ok(Value::NULL),
            },
        };
        let compile = || compile_regex(pattern, flags, collation);
        let literal = call.call.args[1..].iter().all(Expr::is_literal_only);
        let regex = if literal { call.call.prepared.get_or_make(compile)? } else { Arc::new(compile()?) };
        let matched = (0..call.rows).map(|row| text.get(row).map(|text| regex.is_match(text)));
        return Ok(Value::Boolean(matched.collect()));
    }
    let mut out = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let flags = match args.get(2) {
            None => Some(&b""[..]),
            Some(flags) => flags.strings().get(row),
        };
        out.push(match (text.get(row), pattern.get(row), flags) {
            (Some(text), Some(pattern), Some(flags)) => {
                Some(compile_regex(pattern, flags, collation)?.is_match(text))
            }
            _ => None,
        });
    }
    Ok(Value::Boolean(BooleanArray::from(out)))
}

fn cast_regexp_args(i: &mut Inference<'_>, strings: &[usize]) -> Result<(), ExprError> {
    i.derive_collation()?;
    for index in 0..i.args.len() {
        i.cast(index, if strings.contains(&index) { EvalType::String } else { EvalType::Int });
    }
    Ok(())
}

fn infer_regexp_text(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    cast_regexp_args(i, &[0, 1, 4])?;
    Ok(i.text(i.arg(0).length))
}

fn infer_regexp_instr(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    cast_regexp_args(i, &[0, 1, 5])?;
    Ok(FieldType::int())
}

fn infer_regexp_replace(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    cast_regexp_args(i, &[0, 1, 2, 5])?;
    Ok(i.text(-1))
}

/// Text, compiled pattern, byte offset of the start position, occurrence; `None` for a NULL argument.
struct Search {
    text: String,
    regex: Regex,
    start: usize,
    occurrence: i64,
}

fn search(
    call: &CallContext<'_>,
    args: &[Datum],
    position: usize,
    flags: usize,
    default_occurrence: i64,
) -> Result<Option<Search>, ExprError> {
    if args.iter().any(Datum::is_null) {
        return Ok(None);
    }
    let text = |index: usize| match args.get(index) {
        Some(Datum::Bytes(b)) => String::from_utf8_lossy(b).into_owned(),
        _ => String::new(),
    };
    let int = |index: usize, default: i64| match args.get(index) {
        Some(Datum::Int(v)) => *v,
        Some(Datum::UInt(v)) => *v as i64,
        _ => default,
    };
    let subject = text(0);
    let regex = compile_regex(text(1).as_bytes(), text(flags).as_bytes(), call.call.collation)?;
    let start = int(position, 1);
    let chars = subject.chars().count() as i64;
    if start < 1 || start > chars + 1 {
        return Err(ExprError::Regexp {
            message: "Index out of bounds in regular expression search.".to_owned(),
        });
    }
    let start = subject.char_indices().nth(start as usize - 1).map_or(subject.len(), |(offset, _)| offset);
    Ok(Some(Search { text: subject, regex, start, occurrence: int(position + 1, default_occurrence) }))
}

fn regexp_substr(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Some(search) = search(call, args, 2, 4, 1)? else { return Ok(Datum::Null) };
    let nth = search.occurrence.max(1) as usize - 1;
    let found = search.regex.find_iter(&search.text.as_bytes()[search.start..]).nth(nth);
    Ok(found.map_or(Datum::Null, |m| Datum::Bytes(m.as_bytes().to_vec())))
}

fn regexp_instr(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Some(search) = search(call, args, 2, 5, 1)? else { return Ok(Datum::Null) };
    let at_end = matches!(args.get(4), Some(Datum::Int(v)) if *v != 0);
    let nth = search.occurrence.max(1) as usize - 1;
    let found = search.regex.find_iter(&search.text.as_bytes()[search.start..]).nth(nth);
    Ok(Datum::Int(found.map_or(0, |m| {
        let offset = search.start + if at_end { m.end() } else { m.start() };
        String::from_utf8_lossy(&search.text.as_bytes()[..offset]).chars().count() as i64 + 1
    })))
}

fn regexp_replace(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Some(search) = search(call, args, 3, 5, 0)? else { return Ok(Datum::Null) };
    let Datum::Bytes(replacement) = &args[2] else { return Ok(Datum::Null) };
    // `\1` is `${1}` to the engine.
    let mut template = Vec::with_capacity(replacement.len());
    let mut bytes = replacement.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\' | b'$', Some(digit)) if digit.is_ascii_digit() => {
                template.extend_from_slice(&[b'$', b'{', *digit, b'}']);
                bytes.next();
            }
            (b'\\', Some(next)) => {
                template.push(*next);
                bytes.next();
            }
            (b'$', _) => template.extend_from_slice(b"$$"),
            _ => template.push(byte),
        }
    }
    let (head, tail) = search.text.as_bytes().split_at(search.start);
    let mut out = head.to_vec();
    let mut last = 0;
    for (index, captures) in search.regex.captures_iter(tail).enumerate() {
        if search.occurrence > 0 && index as i64 + 1 != search.occurrence {
            continue;
        }
        let whole = captures.get(0).expect("group 0 always matches");
        out.extend_from_slice(&tail[last..whole.start()]);
        captures.expand(&template, &mut out);
        last = whole.end();
    }
    out.extend_from_slice(&tail[last..]);
    Ok(Datum::Bytes(out))
}
