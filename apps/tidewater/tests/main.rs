//! The whole system over real sockets, as one test binary.

mod bad_packets;
mod clients;
mod interrupt;
mod kill;
mod refusals;
mod server_process;
mod tpch;
