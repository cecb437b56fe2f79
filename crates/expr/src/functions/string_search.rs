//! Strings: finding one in another, comparing, replacing.

use std::borrow::Cow;

use tidewater_types::{Collation, Datum, EvalType, FieldType};

use super::string::{bytes, char_offset, count_chars, counts_bytes, int};
use crate::error::ExprError;
use crate::registry::{CallContext, FunctionDef, Inference, Kernel, VARIADIC};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("instr", 2, 2, infer_find, Kernel::Strict(instr)),
    FunctionDef::new("locate", 2, 3, infer_find, Kernel::Strict(locate)),
    FunctionDef::new("replace", 3, 3, infer_replace, Kernel::Strict(replace)),
    FunctionDef::new("substring_index", 3, 3, infer_substring_index, Kernel::Strict(substring_index)),
    FunctionDef::new("field", 2, VARIADIC, infer_field, Kernel::Row(field)),
    FunctionDef::new("find_in_set", 2, 2, infer_find, Kernel::Strict(find_in_set)),
];

fn infer_find(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::String, EvalType::Int]);
    i.derive_collation()?;
    Ok(FieldType::int())
}

fn infer_replace(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::String);
    i.derive_collation()?;
    Ok(i.text(-1))
}

fn infer_substring_index(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::String, EvalType::Int]);
    i.derive_collation()?;
    Ok(i.text(i.arg(0).length))
}

/// FIELD compares as strings if all are, as integers if all are, else as doubles.
fn infer_field(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let all = |eval_type| i.args.iter().all(|arg| arg.field_type_ref().eval_type() == eval_type);
    if all(EvalType::String) {
        i.derive_collation()?;
    } else if !all(EvalType::Int) {
        i.cast_all(EvalType::Real);
    }
    Ok(FieldType::int().not_null())
}

/// The text in a form whose bytes are equal where the collation says that characters are. One character stays one
/// character, so that positions keep their meaning.
fn folded<'a>(text: &'a [u8], collation: Collation) -> Cow<'a, [u8]> {
    if collation.is_bin() || is_case_sensitive(collation) {
        return Cow::Borrowed(text);
    }
    match std::str::from_utf8(text) {
        Ok(text) => {
            let weighed = text
                .chars()
                .map(|c| char::from_u32(collation.weight(c)).unwrap_or(char::REPLACEMENT_CHARACTER));
            Cow::Owned(weighed.collect::<String>().into_bytes())
        }
        Err(_) => Cow::Borrowed(text),
    }
}

/// The `_bin` collations differ from byte order only by padding, which does not matter within a text.
fn is_case_sensitive(collation: Collation) -> bool {
    collation.name().ends_with("_bin")
}

fn find(haystack: &[u8], needle: &[u8], collation: Collation, from: usize, bytewise: bool) -> i64 {
    let (haystack, needle) = (folded(haystack, collation), folded(needle, collation));
    let skipped = char_offset(&haystack, from, bytewise);
    if from > count_chars(&haystack, bytewise) {
        return 0;
    }
    match memchr::memmem::find(&haystack[skipped..], &needle) {
        Some(at) => count_chars(&haystack[..skipped + at], bytewise) as i64 + 1,
        None => 0,
    }
}

fn bytewise(call: &CallContext<'_>) -> bool {
    counts_bytes(call, 0) || counts_bytes(call, 1)
}

fn instr(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Int(find(bytes(&args[0]), bytes(&args[1]), call.call.collation, 0, bytewise(call))))
}

fn locate(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let position = args.get(2).map_or(1, int);
    let Some(from) = usize::try_from(position).ok().and_then(|position| position.checked_sub(1)) else {
        return Ok(Datum::Int(0));
    };
    Ok(Datum::Int(find(bytes(&args[1]), bytes(&args[0]), call.call.collation, from, bytewise(call))))
}

/// REPLACE distinguishes case whatever the collation.
fn replace(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (text, from, to) = (bytes(&args[0]), bytes(&args[1]), bytes(&args[2]));
    if from.is_empty() {
        return Ok(Datum::Bytes(text.to_vec()));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = 0;
    for at in memchr::memmem::find_iter(text, from) {
        out.extend_from_slice(&text[rest..at]);
        out.extend_from_slice(to);
        rest = at + from.len();
        if out.len() > call.eval.max_allowed_packet {
            let max = call.eval.max_allowed_packet;
            call.eval.warn(
                1301,
                format!("Result of replace() was larger than max_allowed_packet ({max}) - truncated"),
            );
            return Ok(Datum::Null);
        }
    }
    out.extend_from_slice(&text[rest..]);
    Ok(Datum::Bytes(out))
}

/// Everything before the n-th delimiter; from the end for negative n.
fn substring_index(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (text, delimiter, count) = (bytes(&args[0]), bytes(&args[1]), int(&args[2]));
    if delimiter.is_empty() || count == 0 {
        return Ok(Datum::Bytes(Vec::new()));
    }
    let nth = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX) - 1;
    let part = if count > 0 {
        memchr::memmem::find_iter(text, delimiter).nth(nth).map_or(text, |at| &text[..at])
    } else {
        memchr::memmem::rfind_iter(text, delimiter).nth(nth).map_or(text, |at| &text[at + delimiter.len()..])
    };
    Ok(Datum::Bytes(part.to_vec()))
}

fn field(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let equal = |a: &Datum, b: &Datum| match (a, b) {
        (Datum::Bytes(a), Datum::Bytes(b)) => call.call.collation.eq(a, b),
        (Datum::Int(a), Datum::UInt(b)) | (Datum::UInt(b), Datum::Int(a)) => u64::try_from(*a) == Ok(*b),
        (Datum::Null, _) | (_, Datum::Null) => false,
        (a, b) => a == b,
    };
    let found = args[1..].iter().position(|arg| equal(&args[0], arg));
    Ok(Datum::Int(found.map_or(0, |at| at as i64 + 1)))
}

fn find_in_set(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (wanted, set) = (bytes(&args[0]), bytes(&args[1]));
    if set.is_empty() || wanted.contains(&b',') {
        return Ok(Datum::Int(0));
    }
    let found = set.split(|&byte| byte == b',').position(|member| call.call.collation.eq(member, wanted));
    Ok(Datum::Int(found.map_or(0, |at| at as i64 + 1)))
}
