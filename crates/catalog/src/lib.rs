//! Databases, tables, columns, indexes: immutable schema snapshots and their stored form.
