//! The storage node: engine, MVCC, transaction commands, regions, coprocessor.
