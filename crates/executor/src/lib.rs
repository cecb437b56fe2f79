//! Vectorised operators over chunks, memory tracking, run-time statistics.
