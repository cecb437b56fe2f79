//! One session's life: variables, transaction, privileges, prepared statements; statement to result.
