//! Operators against naive row-wise models, and golden results for NULL, collation and limits.

mod aggregates;
mod apply;
mod joins;
mod limits;
mod sorts;
mod support;
