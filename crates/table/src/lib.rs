//! Rows and indexes of a table as key-value mutations.
