//! Wire messages compatible with kvproto and tipb, generated at build time.
