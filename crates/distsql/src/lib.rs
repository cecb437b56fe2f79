//! The readers: point get, table and index readers, plan fragments out to the regions and chunks back.
