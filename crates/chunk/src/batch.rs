//! The batch itself.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Decimal128Array, Decimal256Array, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute;
use arrow::datatypes::DataType;
use arrow_buffer::i256;
use tidewater_types::{Datum, FieldType};

use crate::value::datum_at;

/// The most rows an operator puts into one chunk.
pub const MAX_CHUNK_ROWS: usize = 1024;
/// The rows of a scan's first chunk; later ones double up to [`MAX_CHUNK_ROWS`], so that `LIMIT 1` stays cheap.
pub const INITIAL_CHUNK_ROWS: usize = 32;

/// A batch of rows, stored by column.
#[derive(Clone, Debug)]
pub struct Chunk {
    columns: Vec<ArrayRef>,
    rows: usize,
}

impl Chunk {
    /// A chunk of these columns, each `rows` long.
    ///
    /// # Panics
    /// When a column has another length: the operator that built it is wrong.
    pub fn new(columns: Vec<ArrayRef>, rows: usize) -> Self {
        for column in &columns {
            assert_eq!(column.len(), rows, "every column of a chunk has the chunk's length");
        }
        Self { columns, rows }
    }

    /// A chunk without rows.
    pub fn empty(types: &[FieldType]) -> Self {
        let columns = types.iter().map(|ft| arrow::array::new_empty_array(&crate::arrow_type(ft))).collect();
        Self { columns, rows: 0 }
    }

    /// Rows without columns.
    pub fn rows_only(rows: usize) -> Self {
        Self { columns: Vec::new(), rows }
    }

    /// The number of rows.
    pub fn num_rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn num_columns(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// One column.
    pub fn column(&self, index: usize) -> &ArrayRef {
        &self.columns[index]
    }

    /// All columns.
    pub fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// The columns, for building another chunk.
    pub fn into_columns(self) -> Vec<ArrayRef> {
        self.columns
    }

    /// `len` rows beginning with `offset`, sharing the buffers.
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        assert!(offset + len <= self.rows, "slice within the chunk");
        Self { columns: self.columns.iter().map(|c| c.slice(offset, len)).collect(), rows: len }
    }

    /// The rows where `mask` is true (NULL counts as false).
    pub fn filter(&self, mask: &BooleanArray) -> Self {
        assert_eq!(mask.len(), self.rows, "a mask has one bit for each row");
        let rows = mask.true_count();
        if rows == self.rows {
            return self.clone();
        }
        let predicate = compute::FilterBuilder::new(mask);
        let predicate = if self.columns.len() > 1 { predicate.optimize() } else { predicate }.build();
        let filter = |c: &ArrayRef| predicate.filter(c.as_ref()).expect("mask and column have one length");
        Self { columns: self.columns.iter().map(filter).collect(), rows }
    }

    /// The rows at these positions, in this order; a NULL position gives a row of NULLs (outer joins).
    ///
    /// # Panics
    /// When a position is outside of the chunk.
    pub fn take(&self, indices: &UInt32Array) -> Self {
        Self { columns: self.columns.iter().map(|c| take_array(c, indices)).collect(), rows: indices.len() }
    }

    /// All rows of all chunks, in order. The chunks have the same columns.
    pub fn concat(chunks: &[Chunk]) -> Self {
        match chunks {
            [] => Self { columns: Vec::new(), rows: 0 },
            [one] => one.clone(),
            [first, ..] => {
                let columns = (0..first.columns.len())
                    .map(|i| {
                        let arrays: Vec<&dyn Array> = chunks.iter().map(|c| c.columns[i].as_ref()).collect();
                        concat_arrays(&arrays)
                    })
                    .collect();
                Self { columns, rows: chunks.iter().map(|c| c.rows).sum() }
            }
        }
    }

    /// One value. For the edges (protocol rows, point reads); not for loops over rows.
    pub fn datum(&self, row: usize, column: usize, field_type: &FieldType) -> Datum {
        datum_at(self.columns[column].as_ref(), row, field_type)
    }

    /// One row as values.
    pub fn row(&self, row: usize, types: &[FieldType]) -> Vec<Datum> {
        types.iter().enumerate().map(|(i, ft)| self.datum(row, i, ft)).collect()
    }

    /// Bytes held, counting shared buffers of slices once per chunk.
    pub fn memory_size(&self) -> usize {
        self.columns
            .iter()
            .map(|c| c.to_data().get_slice_memory_size().unwrap_or_else(|_| c.get_array_memory_size()))
            .sum()
    }

    /// These columns, in this order; a column may be named twice.
    pub fn project(&self, indices: &[usize]) -> Self {
        Self { columns: indices.iter().map(|&i| self.columns[i].clone()).collect(), rows: self.rows }
    }
}

/// The values of `array` where `mask` is true.
pub fn filter_array(array: &ArrayRef, mask: &BooleanArray) -> ArrayRef {
    compute::filter(array.as_ref(), mask).expect("mask and array have one length")
}

/// The values of `array` at these positions; NULL for a NULL position.
pub fn take_array(array: &ArrayRef, indices: &UInt32Array) -> ArrayRef {
    compute::take(array.as_ref(), indices, None).expect("positions are inside the array")
}

/// The arrays one behind the other. `DECIMAL` columns that differ in width are widened first.
pub fn concat_arrays(arrays: &[&dyn Array]) -> ArrayRef {
    let wide = arrays.iter().find_map(|a| match a.data_type() {
        DataType::Decimal256(_, scale) => Some(*scale),
        _ => None,
    });
    if let Some(scale) = wide {
        let widened: Vec<ArrayRef> = arrays.iter().map(|a| widen(*a, scale)).collect();
        let widened: Vec<&dyn Array> = widened.iter().map(|a| a.as_ref()).collect();
        return compute::concat(&widened).expect("all are Decimal256 of one scale");
    }
    compute::concat(arrays).expect("arrays of one column have one type")
}

fn widen(array: &dyn Array, scale: i8) -> ArrayRef {
    match array.as_any().downcast_ref::<Decimal128Array>() {
        Some(narrow) => {
            let values: ScalarBuffer<i256> = narrow.values().iter().map(|&v| i256::from_i128(v)).collect();
            let wide = Decimal256Array::new(values, narrow.nulls().cloned());
            Arc::new(wide.with_precision_and_scale(76, scale).expect("76 digits hold every scale"))
        }
        None => array.slice(0, array.len()),
    }
}
