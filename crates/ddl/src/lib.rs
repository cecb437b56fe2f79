//! Schema-change jobs: queue, owner, online states, backfill.
