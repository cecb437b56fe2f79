//! The placement driver: timestamps, ids, cluster and region metadata.
