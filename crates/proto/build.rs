//! Compiles the `.proto` files with `protox`, so that no `protoc` is needed on the machine.

const FILES: [&str; 8] = [
    "metapb.proto",
    "errorpb.proto",
    "deadlock.proto",
    "pdpb.proto",
    "kvrpcpb.proto",
    "coprocessor.proto",
    "tikvpb.proto",
    "tipb.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    prost_build::Config::new()
        // Keys and values are cut out of one receive buffer and shared, never copied.
        .bytes(["."])
        .include_file("packages.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
