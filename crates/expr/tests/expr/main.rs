//! The integration tests, in one binary.

mod aggregates;
mod cases;
mod notation;
mod properties;
mod pushdown;
mod signatures;
mod waiting;
