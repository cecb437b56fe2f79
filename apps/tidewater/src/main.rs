//! The all-in-one server.
fn main() {}
