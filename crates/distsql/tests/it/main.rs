//! Readers against a whole cluster in this process: placement driver, storage node in memory, transactions.

mod cluster;
mod index_reads;
mod point_reads;
mod result_cache;
mod table_reads;
mod transactions;
