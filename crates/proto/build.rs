//! Compiles the `.proto` files with `protox`, so that no `protoc` is needed on the machine.

const FILES: [&str; 15] = [
    "metapb.proto",
    "errorpb.proto",
    "deadlock.proto",
    "pdpb.proto",
    "keyspacepb.proto",
    "etcdserverpb.proto",
    "meta_storagepb.proto",
    "kvrpcpb.proto",
    "coprocessor.proto",
    "regionmovepb.proto",
    "raftpb.proto",
    "pdpeerpb.proto",
    "regionpb.proto",
    "tikvpb.proto",
    "tipb.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let mut messages = prost_build::Config::new();
    // Keys and values are cut out of one receive buffer and shared, never copied.
    messages.bytes(["."]).include_file("packages.rs");
    #[cfg(feature = "grpc")]
    tonic_prost_build::configure().compile_fds_with_config(descriptors, messages)?;
    #[cfg(not(feature = "grpc"))]
    messages.compile_fds(descriptors)?;
    Ok(())
}
