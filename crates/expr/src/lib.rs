//! Typed expressions, built-in and aggregate functions, vectorised evaluation.
