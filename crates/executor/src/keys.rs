//! Columns as comparable keys: equality keys for hashing (groups, joins) and ordered keys for sorting.
//!
//! # Hot path
//! Everything here runs once per row of joins, aggregations and sorts. It must not allocate per row: strings go into
//! one arena per batch, fixed-width keys into plain vectors.
//!
//! Equality keys: two rows have equal bytes exactly if MySQL calls the values equal (collation, `-0 = 0`,
//! `1.0 = 1.00`). Ordered keys: byte order is the ORDER BY order (NULL first when ascending).

use std::hash::BuildHasher;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, Decimal256Array, Float32Array, Float64Array,
    Int64Array, UInt64Array,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int64Type, UInt64Type,
};
use arrow_buffer::{NullBuffer, i256};
use foldhash::fast::FixedState;
use tidewater_types::{Collation, EvalType, FieldType, JsonRef};

/// The fixed seed: plans must not depend on a random one.
const HASH_SEED: u64 = 0x7469_6465;

/// The hasher of all tables in this crate.
pub(crate) fn hash_state() -> FixedState {
    FixedState::with_seed(HASH_SEED)
}

/// What the values of one key column mean.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KeyKind {
    /// Eight bytes whose equality is the value's (integers of one signedness, times, durations).
    Word,
    /// Signed against unsigned integers.
    MixedInt,
    /// Floating point, compared as `f64`.
    Real,
    /// Decimal, brought to this scale.
    Decimal(i32),
    /// Strings under a collation.
    Text(Collation),
    /// JSON documents.
    Json,
}

impl KeyKind {
    /// The kind of a single column.
    pub(crate) fn of(field_type: &FieldType) -> KeyKind {
        match field_type.eval_type() {
            EvalType::Int | EvalType::DateTime | EvalType::Duration => KeyKind::Word,
            EvalType::Real => KeyKind::Real,
            EvalType::Decimal => KeyKind::Decimal(field_type.decimals.max(0)),
            EvalType::String => KeyKind::Text(field_type.collation),
            EvalType::Json => KeyKind::Json,
        }
    }

    /// The kind under which two columns can be compared as they are, or `None` when one side needs a cast.
    pub(crate) fn of_pair(left: &FieldType, right: &FieldType, collation: Collation) -> Option<KeyKind> {
        match (left.eval_type(), right.eval_type()) {
            (EvalType::Int, EvalType::Int) if left.is_unsigned() != right.is_unsigned() => {
                Some(KeyKind::MixedInt)
            }
            (EvalType::Int, EvalType::Int)
            | (EvalType::DateTime, EvalType::DateTime)
            | (EvalType::Duration, EvalType::Duration) => Some(KeyKind::Word),
            (EvalType::Real, EvalType::Real) => Some(KeyKind::Real),
            (EvalType::Decimal, EvalType::Decimal) => {
                Some(KeyKind::Decimal(left.decimals.max(right.decimals).max(0)))
            }
            (EvalType::String, EvalType::String) => Some(KeyKind::Text(collation)),
            (EvalType::Json, EvalType::Json) => Some(KeyKind::Json),
            _ => None,
        }
    }

    fn is_word(&self) -> bool {
        matches!(self, KeyKind::Word | KeyKind::Real)
    }
}

/// How the equality keys of one batch are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyLayout {
    /// One eight-byte column.
    One,
    /// Two eight-byte columns.
    Two,
    /// Anything else: encoded rows.
    General,
}

impl KeyLayout {
    pub(crate) fn of(kinds: &[KeyKind]) -> KeyLayout {
        match kinds {
            [one] if one.is_word() => KeyLayout::One,
            [one, two] if one.is_word() && two.is_word() => KeyLayout::Two,
            _ => KeyLayout::General,
        }
    }
}

/// Two eight-byte columns: the words, and in the low bits of `nulls` which of them are NULL.
pub(crate) type TwoWords = (u64, u64, u8);

/// The equality keys of one batch of rows.
#[derive(Debug)]
pub(crate) enum KeyBatch {
    One { words: Vec<u64>, nulls: Option<NullBuffer> },
    Two { words: Vec<TwoWords> },
    General { rows: EncodedRows, nulls: Option<NullBuffer> },
}

impl KeyBatch {
    /// Encodes the key columns of `rows` rows.
    pub(crate) fn encode(kinds: &[KeyKind], columns: &[ArrayRef], rows: usize) -> KeyBatch {
        match KeyLayout::of(kinds) {
            KeyLayout::One => KeyBatch::One { words: words(&columns[0]), nulls: columns[0].logical_nulls() },
            KeyLayout::Two => KeyBatch::Two { words: two_words(columns) },
            KeyLayout::General => {
                let nulls = columns.iter().fold(None, |nulls: Option<NullBuffer>, column| {
                    NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
                });
                KeyBatch::General { rows: EncodedRows::equality(kinds, columns, rows), nulls }
            }
        }
    }

    /// Hashes of all rows.
    pub(crate) fn hashes(&self, out: &mut Vec<u64>) {
        let state = hash_state();
        out.clear();
        match self {
            KeyBatch::One { words, .. } => out.extend(words.iter().map(|word| state.hash_one(*word))),
            KeyBatch::Two { words } => out.extend(words.iter().map(|words| state.hash_one(*words))),
            KeyBatch::General { rows, .. } => {
                out.extend((0..rows.len()).map(|row| state.hash_one(rows.row(row))));
            }
        }
    }

    /// True when some key column of the row is NULL (such a row never equals another in a join).
    #[inline]
    pub(crate) fn has_null(&self, row: usize) -> bool {
        match self {
            KeyBatch::One { nulls, .. } | KeyBatch::General { nulls, .. } => {
                nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
            }
            KeyBatch::Two { words } => words[row].2 != 0,
        }
    }

    /// Bytes held.
    pub(crate) fn memory_size(&self) -> usize {
        match self {
            KeyBatch::One { words, .. } => words.capacity() * size_of::<u64>(),
            KeyBatch::Two { words } => words.capacity() * size_of::<TwoWords>(),
            KeyBatch::General { rows, .. } => rows.memory_size(),
        }
    }
}

/// Rows of bytes in one arena.
#[derive(Debug, Default, Clone)]
pub(crate) struct EncodedRows {
    bytes: Vec<u8>,
    /// End of each row.
    ends: Vec<usize>,
}

impl EncodedRows {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row]]
    }

    /// Appends one row.
    pub(crate) fn push(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn memory_size(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Equality keys.
    pub(crate) fn equality(kinds: &[KeyKind], columns: &[ArrayRef], rows: usize) -> EncodedRows {
        let mut out = EncodedRows { bytes: Vec::with_capacity(rows * 16), ends: Vec::with_capacity(rows) };
        let columns: Vec<Column<'_>> = columns.iter().map(Column::of).collect();
        if let ([KeyKind::Text(collation)], [Column::Bytes(array)]) = (kinds, columns.as_slice()) {
            for row in 0..rows {
                if array.is_null(row) {
                    out.bytes.push(0);
                } else {
                    out.bytes.push(1);
                    write_text_key(*collation, array.value(row), &mut out.bytes);
                }
                out.ends.push(out.bytes.len());
            }
            return out;
        }
        for row in 0..rows {
            for (kind, column) in kinds.iter().zip(&columns) {
                column.write_equality(kind, row, &mut out.bytes);
            }
            out.ends.push(out.bytes.len());
        }
        out
    }

    /// Ordered keys; `descending[i]` turns column `i` around. JSON columns must have been replaced by ranks.
    pub(crate) fn ordered(
        collations: &[Collation],
        descending: &[bool],
        columns: &[ArrayRef],
        rows: usize,
    ) -> EncodedRows {
        let mut out = EncodedRows { bytes: Vec::with_capacity(rows * 16), ends: Vec::with_capacity(rows) };
        let columns: Vec<Column<'_>> = columns.iter().map(Column::of).collect();
        let mut scratch = Vec::new();
        for row in 0..rows {
            for ((column, collation), descending) in columns.iter().zip(collations).zip(descending) {
                let start = out.bytes.len();
                column.write_ordered(*collation, row, &mut scratch, &mut out.bytes);
                if *descending {
                    for byte in &mut out.bytes[start..] {
                        *byte = !*byte;
                    }
                }
            }
            out.ends.push(out.bytes.len());
        }
        out
    }
}

/// A column with its type looked up once.
enum Column<'a> {
    Int(&'a Int64Array),
    UInt(&'a UInt64Array),
    Float(&'a Float32Array),
    Double(&'a Float64Array),
    Decimal(&'a Decimal128Array, i32),
    BigDecimal(&'a Decimal256Array, i32),
    Bytes(&'a BinaryArray),
}

impl<'a> Column<'a> {
    fn of(array: &'a ArrayRef) -> Column<'a> {
        match array.data_type() {
            DataType::Int64 => Column::Int(array.as_primitive::<Int64Type>()),
            DataType::UInt64 => Column::UInt(array.as_primitive::<UInt64Type>()),
            DataType::Float32 => Column::Float(array.as_primitive::<Float32Type>()),
            DataType::Float64 => Column::Double(array.as_primitive::<Float64Type>()),
            DataType::Decimal128(_, scale) => {
                Column::Decimal(array.as_primitive::<Decimal128Type>(), i32::from(*scale))
            }
            DataType::Decimal256(_, scale) => {
                Column::BigDecimal(array.as_primitive::<Decimal256Type>(), i32::from(*scale))
            }
            DataType::Binary => Column::Bytes(array.as_binary::<i32>()),
            other => unreachable!("chunks hold no {other} columns"),
        }
    }

    #[inline]
    fn is_null(&self, row: usize) -> bool {
        match self {
            Column::Int(array) => array.is_null(row),
            Column::UInt(array) => array.is_null(row),
            Column::Float(array) => array.is_null(row),
            Column::Double(array) => array.is_null(row),
            Column::Decimal(array, _) => array.is_null(row),
            Column::BigDecimal(array, _) => array.is_null(row),
            Column::Bytes(array) => array.is_null(row),
        }
    }

    fn write_equality(&self, kind: &KeyKind, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.push(0);
            return;
        }
        match self {
            Column::Int(array) => {
                // A negative signed value equals no unsigned one.
                let value = array.value(row);
                out.push(if *kind == KeyKind::MixedInt && value < 0 { 2 } else { 1 });
                out.extend_from_slice(&value.to_le_bytes());
            }
            Column::UInt(array) => {
                out.push(1);
                out.extend_from_slice(&array.value(row).to_le_bytes());
            }
            Column::Float(array) => {
                out.push(1);
                out.extend_from_slice(&real_bits(f64::from(array.value(row))).to_le_bytes());
            }
            Column::Double(array) => {
                out.push(1);
                out.extend_from_slice(&real_bits(array.value(row)).to_le_bytes());
            }
            Column::Decimal(array, scale) => {
                let target = if let KeyKind::Decimal(target) = kind { *target } else { *scale };
                if target == *scale {
                    out.push(1);
                    out.extend_from_slice(&array.value(row).to_le_bytes());
                } else {
                    write_decimal_equality(i256::from_i128(array.value(row)), *scale, target, out);
                }
            }
            Column::BigDecimal(array, scale) => {
                let target = if let KeyKind::Decimal(target) = kind { *target } else { *scale };
                write_decimal_equality(array.value(row), *scale, target, out);
            }
            Column::Bytes(array) => {
                out.push(1);
                let length_at = out.len();
                out.extend_from_slice(&[0; 4]);
                match kind {
                    KeyKind::Text(collation) => write_text_key(*collation, array.value(row), out),
                    _ => out.extend_from_slice(array.value(row)),
                }
                let length = (out.len() - length_at - 4) as u32;
                out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
            }
        }
    }

    fn write_ordered(&self, collation: Collation, row: usize, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.push(0);
            return;
        }
        out.push(1);
        match self {
            Column::Int(array) => {
                out.extend_from_slice(&((array.value(row) as u64) ^ (1 << 63)).to_be_bytes())
            }
            Column::UInt(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Column::Float(array) => write_ordered_real(f64::from(array.value(row)), out),
            Column::Double(array) => write_ordered_real(array.value(row), out),
            Column::Decimal(array, _) => write_ordered_decimal(i256::from_i128(array.value(row)), out),
            Column::BigDecimal(array, _) => write_ordered_decimal(array.value(row), out),
            Column::Bytes(array) => {
                scratch.clear();
                write_text_key(collation, array.value(row), scratch);
                write_ordered_bytes(scratch, out);
            }
        }
    }
}

fn words(array: &ArrayRef) -> Vec<u64> {
    match Column::of(array) {
        Column::Int(array) => array.values().iter().map(|value| *value as u64).collect(),
        Column::UInt(array) => array.values().to_vec(),
        Column::Float(array) => array.values().iter().map(|value| real_bits(f64::from(*value))).collect(),
        Column::Double(array) => array.values().iter().map(|value| real_bits(*value)).collect(),
        Column::Decimal(..) | Column::BigDecimal(..) | Column::Bytes(_) => {
            unreachable!("only eight-byte columns have a word layout")
        }
    }
}

fn two_words(columns: &[ArrayRef]) -> Vec<TwoWords> {
    let (left, right) = (words(&columns[0]), words(&columns[1]));
    let mut out: Vec<TwoWords> = left.into_iter().zip(right).map(|(left, right)| (left, right, 0)).collect();
    for (bit, column) in columns.iter().enumerate() {
        if let Some(nulls) = column.logical_nulls() {
            for (row, words) in out.iter_mut().enumerate() {
                if nulls.is_null(row) {
                    // The slot of a NULL holds anything.
                    match bit {
                        0 => words.0 = 0,
                        _ => words.1 = 0,
                    }
                    words.2 |= 1 << bit;
                }
            }
        }
    }
    out
}

/// Bits that are equal when the numbers are: `-0.0` is `0.0`.
#[inline]
fn real_bits(value: f64) -> u64 {
    if value == 0.0 { 0 } else { value.to_bits() }
}

#[inline]
fn write_text_key(collation: Collation, text: &[u8], out: &mut Vec<u8>) {
    if collation.is_bin() {
        out.extend_from_slice(collation.significant(text));
    } else {
        collation.write_sort_key(text, out);
    }
}

/// Tag 1: at the target scale, fits 128 bits. Tag 2: at the target scale, wider. Tag 3: cannot be brought to the target
/// scale, so it equals only values of its own scale.
fn write_decimal_equality(value: i256, scale: i32, target: i32, out: &mut Vec<u8>) {
    let rescaled = match i32::cmp(&scale, &target) {
        std::cmp::Ordering::Equal => Some(value),
        std::cmp::Ordering::Less => power_of_ten(target - scale).and_then(|factor| value.checked_mul(factor)),
        std::cmp::Ordering::Greater => power_of_ten(scale - target)
            .filter(|factor| value.checked_rem(*factor) == Some(i256::ZERO))
            .and_then(|factor| value.checked_div(factor)),
    };
    match rescaled {
        Some(value) => match value.to_i128() {
            Some(small) => {
                out.push(1);
                out.extend_from_slice(&small.to_le_bytes());
            }
            None => {
                out.push(2);
                out.extend_from_slice(&value.to_le_bytes());
            }
        },
        None => {
            out.push(3);
            out.push(scale as u8);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

fn power_of_ten(exponent: i32) -> Option<i256> {
    u32::try_from(exponent).ok().and_then(|exponent| i256::from_i128(10).checked_pow(exponent))
}

fn write_ordered_real(value: f64, out: &mut Vec<u8>) {
    let bits = real_bits(value);
    let ordered = if bits >> 63 == 0 { bits ^ (1 << 63) } else { !bits };
    out.extend_from_slice(&ordered.to_be_bytes());
}

/// Length byte (0x80 + n for values ≥ 0, 0x80 - n below) and the n significant bytes of the two's complement: short for
/// small numbers, and byte order is number order.
fn write_ordered_decimal(value: i256, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    if value < i256::ZERO {
        let skip = bytes.iter().take_while(|byte| **byte == 0xff).count().min(bytes.len() - 1);
        out.push(0x80 - (bytes.len() - skip) as u8);
        out.extend_from_slice(&bytes[skip..]);
    } else {
        let skip = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len() - 1);
        out.push(0x80 + (bytes.len() - skip) as u8);
        out.extend_from_slice(&bytes[skip..]);
    }
}

/// Zero bytes are escaped as `00 ff` and the end is `00 00`, so that a prefix sorts before what it begins.
fn write_ordered_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
        out.extend_from_slice(&rest[..zero]);
        out.extend_from_slice(&[0, 0xff]);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 0]);
}

/// Replaces a JSON column by the rank of each document, whose order is the documents' order.
pub(crate) fn json_ranks(array: &ArrayRef) -> ArrayRef {
    let documents = array.as_binary::<i32>();
    let mut order: Vec<(JsonRef<'_>, usize)> = (0..documents.len())
        .filter(|row| documents.is_valid(*row))
        .filter_map(|row| JsonRef::from_binary(documents.value(row)).ok().map(|json| (json, row)))
        .collect();
    order.sort_by(|(left, left_row), (right, right_row)| left.compare(*right).then(left_row.cmp(right_row)));
    let mut ranks: Vec<Option<u64>> = vec![None; documents.len()];
    let mut rank = 0;
    for index in 0..order.len() {
        if index > 0 && order[index - 1].0.compare(order[index].0).is_ne() {
            rank += 1;
        }
        ranks[order[index].1] = Some(rank);
    }
    std::sync::Arc::new(UInt64Array::from(ranks))
}
