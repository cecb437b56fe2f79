//! Columnar batches on Arrow arrays, and rows to columns.
