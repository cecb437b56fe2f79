//! The transactional client: timestamps, region cache, snapshots, write buffer, two-phase commit.
