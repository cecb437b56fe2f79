//! What a simulation may break in a node, to see whether it finds that.

/// Faults that a node makes on purpose. All are off, and nothing but a program can set them: no configuration file, no argument.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flaws {
    /// A leader serves requests without holding its lease.
    pub reads_without_lease: bool,
    /// Reads do not look at locks that are in memory only.
    pub ignores_memory_locks: bool,
    /// The parts of a split region have the version of the whole.
    pub splits_keep_version: bool,
}
