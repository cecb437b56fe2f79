//! Strings: building, cutting and changing them. Positions and lengths count characters, or bytes for binary strings.

use tidewater_types::{Collation, Datum, EvalType, FieldType, number};

use crate::error::ExprError;
use crate::registry::{CallContext, FunctionDef, Inference, Kernel, VARIADIC};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("concat", 1, VARIADIC, infer_concat, Kernel::Strict(concat)),
    FunctionDef::new("concat_ws", 2, VARIADIC, infer_concat, Kernel::Row(concat_ws)),
    FunctionDef::new("length", 1, 1, infer_text_to_int, Kernel::Strict(length)),
    FunctionDef::new("bit_length", 1, 1, infer_text_to_int, Kernel::Strict(bit_length)),
    FunctionDef::new("char_length", 1, 1, infer_text_to_int, Kernel::Strict(char_length)),
    FunctionDef::new("substring", 2, 3, infer_cut, Kernel::Strict(substring)),
    FunctionDef::new("left", 2, 2, infer_cut, Kernel::Strict(left)),
    FunctionDef::new("right", 2, 2, infer_cut, Kernel::Strict(right)),
    FunctionDef::new("lower", 1, 1, infer_same, Kernel::Strict(lower)),
    FunctionDef::new("upper", 1, 1, infer_same, Kernel::Strict(upper)),
    FunctionDef::new("reverse", 1, 1, infer_same, Kernel::Strict(reverse)),
    FunctionDef::new("ltrim", 1, 1, infer_same, Kernel::Strict(ltrim)),
    FunctionDef::new("rtrim", 1, 1, infer_same, Kernel::Strict(rtrim)),
    // trim(text[, remove]) takes both ends; the parser writes LEADING and TRAILING as functions of their own.
    FunctionDef::new("trim", 1, 2, infer_same, Kernel::Strict(trim)),
    FunctionDef::new("trim_leading", 1, 2, infer_same, Kernel::Strict(trim_leading)),
    FunctionDef::new("trim_trailing", 1, 2, infer_same, Kernel::Strict(trim_trailing)),
    FunctionDef::new("repeat", 2, 2, infer_grow, Kernel::Strict(repeat)),
    FunctionDef::new("space", 1, 1, infer_space, Kernel::Strict(space)),
    FunctionDef::new("lpad", 3, 3, infer_pad, Kernel::Strict(lpad)),
    FunctionDef::new("rpad", 3, 3, infer_pad, Kernel::Strict(rpad)),
    FunctionDef::new("insert", 4, 4, infer_insert, Kernel::Strict(insert)),
    FunctionDef::new("hex", 1, 1, infer_hex, Kernel::Strict(hex)),
    FunctionDef::new("unhex", 1, 1, infer_unhex, Kernel::Strict(unhex)),
    FunctionDef::new("ascii", 1, 1, infer_text_to_int, Kernel::Strict(ascii)),
    FunctionDef::new("ord", 1, 1, infer_text_to_int, Kernel::Strict(ord)),
    FunctionDef::new("char", 1, VARIADIC, infer_char, Kernel::Row(char)),
    FunctionDef::new("quote", 1, 1, infer_quote, Kernel::Row(quote)),
    FunctionDef::new("soundex", 1, 1, infer_same, Kernel::Strict(soundex)),
    FunctionDef::new("to_base64", 1, 1, infer_encode, Kernel::Strict(to_base64)),
    FunctionDef::new("from_base64", 1, 1, infer_unhex, Kernel::Strict(from_base64)),
    FunctionDef::new("elt", 2, VARIADIC, infer_elt, Kernel::Row(elt)),
    FunctionDef::new("make_set", 2, VARIADIC, infer_elt, Kernel::Row(make_set)),
    FunctionDef::new("export_set", 3, 5, infer_export_set, Kernel::Strict(export_set)),
    FunctionDef::new("weight_string", 1, 1, infer_unhex, Kernel::Strict(weight_string)),
];

/// Text lengths above this are not told: the result is a LONGTEXT then.
const KNOWN_LENGTH_MAX: i64 = 1 << 24;

/// Characters of a line of base 64, after which comes a line break.
const BASE64_LINE: usize = 76;

// ---- typing

fn infer_concat(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::String);
    i.derive_collation()?;
    let total: i64 = i.args.iter().map(|arg| known_length(arg.field_type_ref())).sum();
    Ok(i.text(clamp_length(total)))
}

fn infer_text_to_int(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    Ok(FieldType::int())
}

fn infer_cut(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::Int, EvalType::Int]);
    let own = known_length(i.arg(0));
    let wanted = i.constant(i.args.len() - 1).as_ref().and_then(as_int);
    let is_count = i.args.len() == 3 || i.name != "substring";
    Ok(match wanted {
        Some(wanted) if is_count => i.text(clamp_length(own.min(wanted.max(0)))),
        _ => i.text(clamp_length(own)),
    })
}

fn infer_same(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::String);
    if i.args.len() > 1 {
        i.derive_collation()?;
    }
    Ok(i.text(i.arg(0).length))
}

fn infer_grow(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::Int]);
    let times = i.constant(1).as_ref().and_then(as_int).map_or(KNOWN_LENGTH_MAX, |times| times.max(0));
    Ok(i.text(clamp_length(known_length(i.arg(0)).saturating_mul(times))))
}

fn infer_space(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::Int);
    let length = i.constant(0).as_ref().and_then(as_int).map_or(KNOWN_LENGTH_MAX, |times| times.max(0));
    Ok(i.text(clamp_length(length)))
}

fn infer_pad(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::Int, EvalType::String]);
    i.derive_collation()?;
    let length = i.constant(1).as_ref().and_then(as_int).map_or(KNOWN_LENGTH_MAX, |length| length.max(0));
    Ok(i.text(clamp_length(length)))
}

fn infer_insert(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::Int, EvalType::Int, EvalType::String]);
    i.derive_collation()?;
    Ok(i.text(clamp_length(known_length(i.arg(0)) + known_length(i.arg(3)))))
}

fn infer_hex(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    match i.arg(0).eval_type() {
        EvalType::Int => return Ok(i.text(16)),
        EvalType::Real | EvalType::Decimal => {
            i.cast(0, EvalType::Int);
            return Ok(i.text(16));
        }
        _ => i.cast(0, EvalType::String),
    }
    let bytes = known_length(i.arg(0)) * i64::from(i.arg(0).charset().max_bytes() as u32);
    Ok(i.text(clamp_length(bytes * 2)))
}

fn infer_unhex(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    i.collation = Collation::Binary;
    let bytes = known_length(i.arg(0)) * i64::from(i.arg(0).charset().max_bytes() as u32);
    Ok(i.text(clamp_length(bytes)))
}

fn infer_encode(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    Ok(i.text(clamp_length(known_length(i.arg(0)) * 6)))
}

fn infer_char(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::Int);
    i.collation = Collation::Binary;
    Ok(i.text(i32::try_from(i.args.len() * 4).unwrap_or(-1)))
}

fn infer_quote(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    Ok(i.text(clamp_length(known_length(i.arg(0)) * 2 + 2)))
}

fn infer_elt(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::Int);
    for index in 1..i.args.len() {
        i.cast(index, EvalType::String);
    }
    i.derive_collation()?;
    let lengths = i.args[1..].iter().map(|arg| known_length(arg.field_type_ref()));
    let length =
        if i.name == "elt" { lengths.max().unwrap_or(0) } else { lengths.map(|length| length + 1).sum() };
    Ok(i.text(clamp_length(length)))
}

fn infer_export_set(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::Int, EvalType::String, EvalType::String, EvalType::String, EvalType::Int]);
    i.derive_collation()?;
    Ok(i.text(-1))
}

fn known_length(field_type: &FieldType) -> i64 {
    if field_type.length < 0 { KNOWN_LENGTH_MAX } else { i64::from(field_type.length) }
}

/// An unknown or very long length is -1.
fn clamp_length(length: i64) -> i32 {
    if length >= KNOWN_LENGTH_MAX { -1 } else { i32::try_from(length).unwrap_or(-1) }
}

// ---- arguments

/// The bytes of a string argument, which inference has made sure it is.
pub(super) fn bytes(datum: &Datum) -> &[u8] {
    match datum {
        Datum::Bytes(bytes) => bytes,
        _ => &[],
    }
}

/// An integer argument; unsigned ones beyond BIGINT count as the largest BIGINT.
pub(super) fn int(datum: &Datum) -> i64 {
    as_int(datum).unwrap_or(0)
}

fn as_int(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::Int(value) => Some(*value),
        Datum::UInt(value) => Some(i64::try_from(*value).unwrap_or(i64::MAX)),
        _ => None,
    }
}

/// Whether the function counts bytes, not characters.
pub(super) fn counts_bytes(call: &CallContext<'_>, argument: usize) -> bool {
    call.call.args[argument].field_type_ref().collation == Collation::Binary
}

/// The number of characters.
pub(super) fn count_chars(text: &[u8], bytewise: bool) -> usize {
    // Every character has one byte that is no continuation byte; ill-formed text is counted by the same rule.
    if bytewise { text.len() } else { text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() }
}

/// The byte offset of the n-th character; the length of the text if it is shorter.
pub(super) fn char_offset(text: &[u8], n: usize, bytewise: bool) -> usize {
    if bytewise {
        return n.min(text.len());
    }
    let starts = text.iter().enumerate().filter(|(_, byte)| **byte & 0xc0 != 0x80);
    starts.map(|(at, _)| at).nth(n).unwrap_or(text.len())
}

/// A result that may have grown beyond `max_allowed_packet`: then NULL and warning 1301.
fn limited(call: &CallContext<'_>, len: usize, make: impl FnOnce() -> Vec<u8>) -> Datum {
    let max = call.eval.max_allowed_packet;
    if len > max {
        let name = call.call.function.name;
        call.eval
            .warn(1301, format!("Result of {name}() was larger than max_allowed_packet ({max}) - truncated"));
        return Datum::Null;
    }
    Datum::Bytes(make())
}

// ---- kernels

fn concat(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let len = args.iter().map(|arg| bytes(arg).len()).sum();
    Ok(limited(call, len, || {
        let mut out = Vec::with_capacity(len);
        args.iter().for_each(|arg| out.extend_from_slice(bytes(arg)));
        out
    }))
}

/// A NULL separator makes NULL; NULL parts are left out.
fn concat_ws(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Datum::Bytes(separator) = &args[0] else { return Ok(Datum::Null) };
    let parts: Vec<&[u8]> = args[1..].iter().filter(|arg| !arg.is_null()).map(bytes).collect();
    let len = parts.iter().map(|part| part.len() + separator.len()).sum();
    Ok(limited(call, len, || parts.join(&separator[..])))
}

fn length(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Int(bytes(&args[0]).len() as i64))
}

fn bit_length(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Int(bytes(&args[0]).len() as i64 * 8))
}

fn char_length(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Int(count_chars(bytes(&args[0]), counts_bytes(call, 0)) as i64))
}

/// Position 1 is the first character, -1 the last; 0 is nowhere.
fn substring(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (text, bytewise) = (bytes(&args[0]), counts_bytes(call, 0));
    let position = int(&args[1]);
    let wanted = args.get(2).map_or(i64::MAX, int);
    if position == 0 || wanted <= 0 {
        return Ok(Datum::Bytes(Vec::new()));
    }
    let start = if position > 0 {
        usize::try_from(position - 1).unwrap_or(usize::MAX)
    } else {
        let back = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
        match count_chars(text, bytewise).checked_sub(back) {
            Some(start) => start,
            None => return Ok(Datum::Bytes(Vec::new())),
        }
    };
    let rest = &text[char_offset(text, start, bytewise)..];
    let end = char_offset(rest, usize::try_from(wanted).unwrap_or(usize::MAX), bytewise);
    Ok(Datum::Bytes(rest[..end].to_vec()))
}

fn left(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = bytes(&args[0]);
    let wanted = usize::try_from(int(&args[1])).unwrap_or(0);
    Ok(Datum::Bytes(text[..char_offset(text, wanted, counts_bytes(call, 0))].to_vec()))
}

fn right(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (text, bytewise) = (bytes(&args[0]), counts_bytes(call, 0));
    let wanted = usize::try_from(int(&args[1])).unwrap_or(0);
    let start = count_chars(text, bytewise).saturating_sub(wanted);
    Ok(Datum::Bytes(text[char_offset(text, start, bytewise)..].to_vec()))
}

fn lower(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(map_case(call, &args[0], char::to_lowercase))
}

fn upper(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(map_case(call, &args[0], char::to_uppercase))
}

/// Only mappings of one character to one count, as in MySQL's collations; binary strings have no case.
fn map_case<I: ExactSizeIterator<Item = char>>(
    call: &CallContext<'_>,
    text: &Datum,
    map: impl Fn(char) -> I,
) -> Datum {
    let text = bytes(text);
    match std::str::from_utf8(text) {
        Ok(text) if !counts_bytes(call, 0) => {
            let one = |c| {
                let mut mapped = map(c);
                if mapped.len() == 1 { mapped.next().unwrap_or(c) } else { c }
            };
            Datum::Bytes(text.chars().map(one).collect::<String>().into_bytes())
        }
        _ => Datum::Bytes(text.to_vec()),
    }
}

fn reverse(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = bytes(&args[0]);
    Ok(Datum::Bytes(match std::str::from_utf8(text) {
        Ok(text) if !counts_bytes(call, 0) => text.chars().rev().collect::<String>().into_bytes(),
        _ => text.iter().rev().copied().collect(),
    }))
}

fn ltrim(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Bytes(cut_front(bytes(&args[0]), b" ").to_vec()))
}

fn rtrim(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Bytes(cut_back(bytes(&args[0]), b" ").to_vec()))
}

fn trim(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let remove = removed(args);
    Ok(Datum::Bytes(cut_back(cut_front(bytes(&args[0]), remove), remove).to_vec()))
}

fn trim_leading(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Bytes(cut_front(bytes(&args[0]), removed(args)).to_vec()))
}

fn trim_trailing(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Bytes(cut_back(bytes(&args[0]), removed(args)).to_vec()))
}

fn removed(args: &[Datum]) -> &[u8] {
    args.get(1).map_or(b" ", bytes)
}

fn cut_front<'a>(mut text: &'a [u8], remove: &[u8]) -> &'a [u8] {
    while let (false, Some(rest)) = (remove.is_empty(), text.strip_prefix(remove)) {
        text = rest;
    }
    text
}

fn cut_back<'a>(mut text: &'a [u8], remove: &[u8]) -> &'a [u8] {
    while let (false, Some(rest)) = (remove.is_empty(), text.strip_suffix(remove)) {
        text = rest;
    }
    text
}

fn repeat(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = bytes(&args[0]);
    let times = usize::try_from(int(&args[1])).unwrap_or(0);
    Ok(limited(call, text.len().saturating_mul(times), || text.repeat(times)))
}

fn space(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let times = usize::try_from(int(&args[0])).unwrap_or(0);
    Ok(limited(call, times, || vec![b' '; times]))
}

fn lpad(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    pad(call, args, |text, filling| [filling, text].concat())
}

fn rpad(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    pad(call, args, |text, filling| [text, filling].concat())
}

/// A longer text is cut; an empty filling cannot fill: NULL.
fn pad(
    call: &CallContext<'_>,
    args: &[Datum],
    join: impl Fn(&[u8], &[u8]) -> Vec<u8>,
) -> Result<Datum, ExprError> {
    let (text, filling) = (bytes(&args[0]), bytes(&args[2]));
    let bytewise = counts_bytes(call, 0) || counts_bytes(call, 2);
    let Ok(wanted) = usize::try_from(int(&args[1])) else { return Ok(Datum::Null) };
    let have = count_chars(text, bytewise);
    if wanted <= have {
        return Ok(Datum::Bytes(text[..char_offset(text, wanted, bytewise)].to_vec()));
    }
    let unit = count_chars(filling, bytewise);
    if unit == 0 {
        return Ok(Datum::Null);
    }
    let missing = wanted - have;
    let len = text.len().saturating_add((missing / unit + 1).saturating_mul(filling.len()));
    if missing > call.eval.max_allowed_packet {
        return Ok(limited(call, len, Vec::new));
    }
    let mut fill = filling.repeat(missing / unit);
    fill.extend_from_slice(&filling[..char_offset(filling, missing % unit, bytewise)]);
    Ok(limited(call, text.len() + fill.len(), || join(text, &fill)))
}

/// A position outside of the text leaves it as it is.
fn insert(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (text, new) = (bytes(&args[0]), bytes(&args[3]));
    let bytewise = counts_bytes(call, 0);
    let have = count_chars(text, bytewise);
    let Some(start) =
        usize::try_from(int(&args[1])).ok().filter(|&position| position >= 1 && position <= have)
    else {
        return Ok(Datum::Bytes(text.to_vec()));
    };
    let removed = usize::try_from(int(&args[2])).unwrap_or(usize::MAX);
    let from = char_offset(text, start - 1, bytewise);
    let to = from + char_offset(&text[from..], removed, bytewise);
    Ok(limited(call, text.len() + new.len(), || [&text[..from], new, &text[to..]].concat()))
}

fn hex(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Bytes(match &args[0] {
        Datum::Int(value) => format!("{value:X}").into_bytes(),
        Datum::UInt(value) => format!("{value:X}").into_bytes(),
        other => hex::encode_upper(bytes(other)).into_bytes(),
    }))
}

/// An odd number of digits has an invisible leading zero; anything else that is no hexadecimal text is NULL.
fn unhex(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = bytes(&args[0]);
    let decoded = if text.len() % 2 == 1 { hex::decode([b"0", text].concat()) } else { hex::decode(text) };
    Ok(decoded.map_or(Datum::Null, Datum::Bytes))
}

fn ascii(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Int(bytes(&args[0]).first().map_or(0, |&byte| i64::from(byte))))
}

/// The bytes of the first character as one number.
fn ord(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = bytes(&args[0]);
    let first = &text[..char_offset(text, 1, counts_bytes(call, 0))];
    Ok(Datum::Int(first.iter().fold(0, |number, &byte| number << 8 | i64::from(byte))))
}

/// Each number gives its bytes without leading zeros; NULLs are left out.
fn char(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let mut out = Vec::new();
    for arg in args.iter().filter(|arg| !arg.is_null()) {
        let number = int(arg) as u32;
        let skip = (number.leading_zeros() as usize / 8).min(3);
        out.extend_from_slice(&number.to_be_bytes()[skip..]);
    }
    Ok(Datum::Bytes(out))
}

fn quote(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Datum::Bytes(text) = &args[0] else { return Ok(Datum::Bytes(b"NULL".to_vec())) };
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'\'');
    for &byte in text {
        match byte {
            b'\'' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0 => out.extend_from_slice(b"\\0"),
            0x1a => out.extend_from_slice(b"\\Z"),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
    Ok(Datum::Bytes(out))
}

/// MySQL's form: vowels are dropped before equal codes are joined, and the code is not cut to four places.
fn soundex(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = String::from_utf8_lossy(bytes(&args[0])).to_uppercase();
    let mut letters = text.chars().filter(|c| c.is_alphabetic());
    let Some(first) = letters.next() else { return Ok(Datum::Bytes(Vec::new())) };
    let mut code = String::from(first);
    let mut last = soundex_digit(first);
    for letter in letters {
        let digit = soundex_digit(letter);
        if digit != '0' && digit != last {
            code.push(digit);
        }
        if digit != '0' {
            last = digit;
        }
    }
    while code.chars().count() < 4 {
        code.push('0');
    }
    Ok(Datum::Bytes(code.into_bytes()))
}

fn soundex_digit(letter: char) -> char {
    match letter {
        'B' | 'F' | 'P' | 'V' => '1',
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => '2',
        'D' | 'T' => '3',
        'L' => '4',
        'M' | 'N' => '5',
        'R' => '6',
        _ => '0',
    }
}

fn to_base64(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    use base64::Engine;
    let text = bytes(&args[0]);
    Ok(limited(call, text.len().div_ceil(3) * 4, || {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text).into_bytes();
        encoded.chunks(BASE64_LINE).collect::<Vec<_>>().join(&b'\n')
    }))
}

fn from_base64(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    use base64::Engine;
    let text: Vec<u8> = bytes(&args[0]).iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    Ok(base64::engine::general_purpose::STANDARD.decode(text).map_or(Datum::Null, Datum::Bytes))
}

fn elt(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let index = usize::try_from(int(&args[0])).unwrap_or(0);
    Ok(if index == 0 { Datum::Null } else { args.get(index).cloned().unwrap_or(Datum::Null) })
}

fn make_set(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    if args[0].is_null() {
        return Ok(Datum::Null);
    }
    let bits = int(&args[0]) as u64;
    let chosen =
        args[1..].iter().take(64).enumerate().filter(|(bit, arg)| bits >> bit & 1 == 1 && !arg.is_null());
    Ok(Datum::Bytes(chosen.map(|(_, arg)| bytes(arg)).collect::<Vec<_>>().join(&b',')))
}

fn export_set(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let bits = int(&args[0]) as u64;
    let (on, off) = (bytes(&args[1]), bytes(&args[2]));
    let separator = args.get(3).map_or(&b","[..], bytes);
    let count = args.get(4).map_or(64, int).clamp(0, 64) as usize;
    let parts: Vec<&[u8]> = (0..count).map(|bit| if bits >> bit & 1 == 1 { on } else { off }).collect();
    let len = parts.iter().map(|part| part.len() + separator.len()).sum();
    Ok(limited(call, len, || parts.join(separator)))
}

fn weight_string(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let mut key = Vec::new();
    call.call.args[0].field_type_ref().collation.write_sort_key(bytes(&args[0]), &mut key);
    Ok(Datum::Bytes(key))
}

/// The text of a number, for functions that format numbers.
pub(super) fn double_text(value: f64) -> Vec<u8> {
    let mut out = Vec::new();
    number::write_f64(value, &mut out);
    out
}
