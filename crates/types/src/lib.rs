//! The SQL type system: field types, decimals, times, JSON, collations, conversions, SQL error codes.
