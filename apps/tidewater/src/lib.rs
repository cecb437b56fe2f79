//! Tidewater as a library.
