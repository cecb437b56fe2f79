//! The Debian packages a build needs, and installing them where we may.

use std::path::Path;
use std::process::Command;

use anyhow::bail;

use crate::command;

/// A system package and how to see whether it is there.
struct Package {
    name: &'static str,
    present: fn() -> bool,
}

/// What RocksDB's build needs: a C++ compiler, and libclang (with its headers) for the bindings.
const BUILD: &[Package] = &[
    Package { name: "build-essential", present: || command::exists("g++") && command::exists("make") },
    Package { name: "libclang-dev", present: has_libclang },
];

/// What the whole-system benchmarks need besides.
const BENCH: &[Package] = &[
    Package {
        name: "mariadb-server",
        present: || command::exists("mariadbd") || Path::new("/usr/sbin/mariadbd").exists(),
    },
    Package { name: "mariadb-client", present: || command::exists("mariadb") },
    Package { name: "sysbench", present: || command::exists("sysbench") },
];

/// Makes sure that everything the build needs is installed.
pub fn ensure_build_packages() -> anyhow::Result<()> {
    ensure(BUILD)
}

/// Makes sure that the peers of the benchmarks are installed.
pub fn ensure_bench_packages() -> anyhow::Result<()> {
    ensure(BENCH)
}

fn ensure(packages: &[Package]) -> anyhow::Result<()> {
    let missing: Vec<&str> =
        packages.iter().filter(|package| !(package.present)()).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("sudo apt-get update && sudo apt-get install -y {}", missing.join(" "));
    if !command::exists("apt-get") {
        bail!("missing system packages (Debian names): {}; install them and try again", missing.join(", "));
    }
    let Some(prefix) = privileged_prefix() else {
        bail!(
            "missing system packages: {}\nThis user may not install them. Run:\n    {by_hand}",
            missing.join(", ")
        );
    };
    eprintln!("installing missing system packages: {}", missing.join(", "));
    command::run(privileged(prefix).args(["apt-get", "update", "-qq"]))?;
    command::run(
        privileged(prefix)
            .args(["apt-get", "install", "-y", "-qq", "--no-install-recommends"])
            .args(&missing),
    )
}

/// `env` when we are root, `sudo` when it works without a password, else nothing.
fn privileged_prefix() -> Option<&'static str> {
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout.trim_ascii() == b"0" {
        return Some("env");
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).output().ok()?;
    sudo.status.success().then_some("sudo")
}

fn privileged(prefix: &str) -> Command {
    let mut command = Command::new(prefix);
    if prefix == "sudo" {
        command.args(["-n", "env"]);
    }
    command.arg("DEBIAN_FRONTEND=noninteractive");
    command
}

/// libclang's library and its resource headers lie in versioned folders; any version does.
fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"]
        .iter()
        .any(|folder| folder_has(folder, "libclang-") || folder_has(folder, "libclang.so"));
    let llvm = std::fs::read_dir("/usr/lib").is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            entry.file_name().to_string_lossy().starts_with("llvm-")
                && entry.path().join("lib/clang").is_dir()
        })
    });
    library && (llvm || Path::new("/usr/lib/clang").is_dir())
}

fn folder_has(folder: &str, prefix: &str) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
    })
}
