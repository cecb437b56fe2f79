//! The whole system over real sockets, as one test binary.

mod backup;
mod bad_packets;
mod clients;
mod cluster_kill;
mod cluster_process;
mod ctl;
mod interrupt;
mod join;
mod kill;
mod pd_kill;
mod refusals;
mod rolling;
mod server_process;
mod sql_nodes;
mod tpch;
