//! Order-preserving keys and the row and index value formats of the TiDB layout.
