//! `cargo xtask conformance`: TiKV's own clients against a cluster of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use crate::chaos::{Disturbance, Disturbed, Kind, Settings};
use crate::cluster::{Cluster, Shape};
use crate::command;
use crate::totals::Totals;

/// The Rust client, whose tests are run as they are.
const TIKV_CLIENT: &str = "0.4.0";
/// The client asks the regions of a raw range from below and joins their answers, also when it scans backwards: this test finds its rows in
/// order only as long as they lie in one region, so it gets a cluster that has had no raw data before.
const ONE_REGION_TEST: &str = "raw_write_million";
/// The Go client.
const CLIENT_GO: &str = "github.com/tikv/client-go/v2@v2.0.7";
/// The benchmark that Go programmers run.
const GO_YCSB: &str = "github.com/pingcap/go-ycsb@v1.0.1";
const GO_YCSB_PROGRAM: &str = "github.com/pingcap/go-ycsb/cmd/go-ycsb";
/// Many tiny regions, which move about: the settings that the Rust client's tests ask for.
const TINY_REGIONS: &str = "[coprocessor]\nregion-max-keys = 10\nregion-split-keys = 7\n\
                            [raftstore]\npd-heartbeat-tick-interval = \"2s\"\n\
                            split-region-check-tick-interval = \"1s\"\n";
/// Regions that are merged soon after they were cut, and go to where they are merged without delay: what an unlucky client may meet.
const RESTLESS_REGIONS: &str = "[schedule]\nstore-limit = 60000\nmax-merge-region-size = 1\n\
                                max-merge-region-keys = 3\nsplit-merge-interval = \"5s\"\n";
/// The settings that the client's own checks use. When a region has moved, the client looks for locks again in all regions up to the last
/// one, not in that region only (`ScanLockRequest::apply_shard` keeps the end of the whole range), and queues these looks with the places
/// that it knows at that moment: regions that move faster than the queue is worked off make it grow without bound. The failpoint tests
/// do nothing but look for locks.
const CALM_REGIONS: &str = "[schedule]\nmax-merge-region-size = 1\nmax-merge-region-keys = 3\n";
/// Without forty regions the suite writes over the locks that its tests have left, to make some; ten keys a region make more of them than replicas
/// are for.
const FORTY_REGIONS: &str = "[coprocessor]\nregion-max-keys = 40\nregion-split-keys = 20\n\
                             [raftstore]\npd-heartbeat-tick-interval = \"1s\"\nsplit-region-check-tick-interval = \"1s\"\n";
/// However full the disk of this machine is.
const ANY_DISK: &str = "[schedule]\nlow-space-ratio = 1.0\n";
/// Regions as small as to split under a benchmark.
const SMALL_REGIONS: &str = "[coprocessor]\nregion-max-keys = 2000\nregion-split-keys = 1000\n\
                             [raftstore]\npd-heartbeat-tick-interval = \"1s\"\n";

/// What the Rust client and its tests get over. A store or a member that refuses connections they do not: the tests ask all stores to remove everything,
/// and the first member of the placement driver by HTTP, once each. After an error they wait twice as long as before, for up to 30 s.
const FOR_TIKV_CLIENT: Disturbance = Disturbance {
    kinds: &[Kind::Stop, Kind::Partition, Kind::SlowDisk, Kind::Clock],
    calm_ms: 3_000..7_000,
    fault_ms: 300..1_200,
};
/// What the Go client gets over.
const FOR_GO: Disturbance = Disturbance {
    kinds: &[Kind::Kill, Kind::Stop, Kind::Partition, Kind::SlowDisk, Kind::Clock],
    calm_ms: 500..2_000,
    fault_ms: 500..2_000,
};
/// How often short checks are repeated while the cluster is disturbed.
const DISTURBED_ROUNDS: usize = 12;

/// Whose client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The crate `tikv-client`: its own integration and failpoint tests.
    TikvClient,
    /// The Go module `client-go`, raw and transactional, and `go-ycsb` in raw mode.
    Go,
}

/// What to run.
#[derive(Args)]
pub struct Options {
    /// Whose client.
    suite: Suite,
    /// A program to check in place of a fresh release build.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Stores of the cluster.
    #[arg(long, default_value_t = 3)]
    stores: u16,
    /// Copies of each region. Replicated regions are larger: ten keys a region would make more of them than replicas are for.
    #[arg(long, default_value_t = 1)]
    replicas: u16,
    /// Three copies of each region and three placement drivers, and all the time some process is killed and started again (with the Go client
    /// only), halted or cut off from others, or its disk is slow, or its calendar wrong.
    #[arg(long)]
    disturbed: bool,
    /// Only tests whose names contain this.
    #[arg(long, default_value = "")]
    filter: String,
}

/// The cluster of a suite.
enum Home {
    Calm(Cluster),
    Disturbed(Disturbed),
}

impl Home {
    /// With the settings for single copies where regions have one.
    fn start(
        program: &Path,
        options: &Options,
        name: &str,
        pd: &'static str,
        store: &'static str,
        store_replicated: &'static str,
    ) -> anyhow::Result<Self> {
        let is_replicated = options.disturbed || options.replicas > 1;
        let settings = match is_replicated {
            true => Settings { pd: ANY_DISK, store: store_replicated },
            false => Settings { pd, store },
        };
        if options.disturbed {
            let disturbance = match options.suite {
                Suite::TikvClient => FOR_TIKV_CLIENT,
                Suite::Go => FOR_GO,
            };
            return Ok(Self::Disturbed(Disturbed::start(
                program,
                name,
                options.stores,
                settings,
                disturbance,
            )?));
        }
        let shape = Shape { stores: options.stores, replicas: options.replicas, sqls: 0 };
        Ok(Self::Calm(Cluster::start(program, name, shape, settings.pd, settings.store)?))
    }

    /// `host:port` of the placement driver's members, separated by commas.
    fn pd(&self) -> String {
        match self {
            Self::Calm(cluster) => cluster.pd.clone(),
            Self::Disturbed(cluster) => cluster.pd.join(","),
        }
    }

    /// Where its processes log.
    fn log(&self) -> PathBuf {
        match self {
            Self::Calm(cluster) => cluster.log(),
            Self::Disturbed(cluster) => cluster.folder().to_owned(),
        }
    }

    /// Ends it; a disturbed one has to be well in the end.
    fn finish(self) -> anyhow::Result<()> {
        if let Self::Disturbed(cluster) = self {
            println!("the cluster was disturbed {} times", cluster.finish()?);
        }
        Ok(())
    }
}

/// Runs a suite.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let program = command::release_program(options.program.as_deref())?;
    match options.suite {
        Suite::TikvClient => tikv_client(options, &program),
        Suite::Go => go(options, &program),
    }
}

fn tikv_client(options: &Options, program: &Path) -> anyhow::Result<()> {
    let home = command::target_dir().join("conformance/tikv-client");
    let suite = fetch_tikv_client(&home)?;
    let tests = |name: &str| {
        let mut test = command::cargo();
        test.current_dir(&suite).env("CARGO_TARGET_DIR", home.join("target"));
        // One test moves 100 MiB through ten thousand regions: unoptimized, the client would be what is waited for.
        test.env("CARGO_PROFILE_DEV_OPT_LEVEL", "2").env("CARGO_PROFILE_TEST_OPT_LEVEL", "2");
        test.env_remove("CARGO_MANIFEST_DIR").args([
            "test",
            "--features",
            "integration-tests",
            "--test",
            name,
        ]);
        test
    };
    let parts: [(&str, &str, &[&str]); 3] = [
        ("integration_tests", RESTLESS_REGIONS, &[ONE_REGION_TEST]),
        ("integration_tests", RESTLESS_REGIONS, &[&options.filter, "--skip", ONE_REGION_TEST]),
        ("failpoint_tests", CALM_REGIONS, &[&options.filter]),
    ];
    let mut totals = Totals::default();
    for (index, (name, pd_settings, selection)) in parts.into_iter().enumerate() {
        if selection == [ONE_REGION_TEST] && !ONE_REGION_TEST.contains(&options.filter) {
            continue;
        }
        command::run(tests(name).arg("--no-run"))?;
        // The one test writes a hundred thousand rows.
        let replicated = if selection == [ONE_REGION_TEST] { SMALL_REGIONS } else { FORTY_REGIONS };
        let folder = format!("tikv-client-{index}");
        let cluster = Home::start(program, options, &folder, pd_settings, TINY_REGIONS, replicated)?;
        let mut test = tests(name);
        test.args(["--", "--test-threads=1"]).args(selection);
        test.env("PD_ADDRS", cluster.pd()).env("MULTI_REGION", "1");
        let part = Totals::of(&mut test).with_context(|| format!("see {}", cluster.log().display()))?;
        if part.failed > 0 {
            println!("what the cluster said: {}", cluster.log().display());
        }
        totals += part;
        cluster.finish()?;
    }
    println!("tikv-client {TIKV_CLIENT}: {totals}");
    totals.must_be_green()
}

/// Copies the crate out of the registry into a folder of its own, outside of this workspace.
fn fetch_tikv_client(home: &Path) -> anyhow::Result<PathBuf> {
    let suite = home.join("suite");
    if suite.join("Cargo.toml").exists() {
        return Ok(suite);
    }
    let probe = home.join("probe");
    std::fs::create_dir_all(probe.join("src"))?;
    std::fs::write(probe.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\ntikv-client = \"={TIKV_CLIENT}\"\n"
    );
    std::fs::write(probe.join("Cargo.toml"), manifest)?;
    let mut metadata = command::cargo();
    metadata.current_dir(&probe).args(["metadata", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&command::output(&mut metadata)?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let package =
        packages.iter().find(|package| package["name"] == "tikv-client").context("no tikv-client")?;
    let source = package["manifest_path"].as_str().context("the package has no path")?;
    let source = Path::new(source).parent().context("the package has no folder")?;
    command::output(Command::new("cp").arg("-r").arg(source).arg(&suite))?;
    // The toolchain it was released with is not ours to install.
    let _ = std::fs::remove_file(suite.join("rust-toolchain.toml"));
    let manifest = std::fs::read_to_string(suite.join("Cargo.toml"))?;
    std::fs::write(suite.join("Cargo.toml"), format!("{manifest}\n[workspace]\n"))?;
    Ok(suite)
}

fn go(options: &Options, program: &Path) -> anyhow::Result<()> {
    if !command::exists("go") {
        println!("client-go: skipped, there is no go here");
        return Ok(());
    }
    let home = command::target_dir().join("conformance/go");
    let check = build_check(&home)?;
    let mut totals = Totals::default();
    for part in ["raw", "txn"] {
        // Raw clients without keyspaces and transactional ones must not share a cluster.
        let cluster = Home::start(program, options, &format!("go-{part}"), "", SMALL_REGIONS, SMALL_REGIONS)?;
        // Once, it would be over before anything is disturbed.
        let rounds = if options.disturbed { DISTURBED_ROUNDS } else { 1 };
        let checked =
            (0..rounds).try_for_each(|_| command::run(Command::new(&check).args([part, &cluster.pd()])));
        totals += outcome(part, &cluster, checked);
        cluster.finish()?;
    }
    let (ycsb, workloads) = build_ycsb(&home)?;
    for workload in ["a", "b", "c", "d", "e", "f"].map(|letter| format!("workload{letter}")) {
        let cluster = Home::start(program, options, &workload, "", SMALL_REGIONS, SMALL_REGIONS)?;
        let done = run_workload(&ycsb, &workloads.join(&workload), &cluster.pd());
        totals += outcome(&workload, &cluster, done);
        cluster.finish()?;
    }
    println!("{CLIENT_GO} and {GO_YCSB}: {totals}");
    totals.must_be_green()
}

/// Counts a program as one test, and says why it failed.
fn outcome(name: &str, cluster: &Home, done: anyhow::Result<()>) -> Totals {
    match done {
        Ok(()) => Totals { passed: 1, ..Totals::default() },
        Err(error) => {
            println!("{name}: {error:#}; what the cluster said: {}", cluster.log().display());
            Totals { failed: 1, ..Totals::default() }
        }
    }
}

fn build_check(home: &Path) -> anyhow::Result<PathBuf> {
    let folder = home.join("check");
    std::fs::create_dir_all(&folder)?;
    let source = command::workspace_root().join("apps/tidewater-store/tests/conformance/check.go");
    std::fs::copy(source, folder.join("check.go"))?;
    go_module(&folder, "check", CLIENT_GO)?;
    command::run(Command::new("go").args(["mod", "tidy"]).current_dir(&folder))?;
    command::run(Command::new("go").args(["build", "-o", "check", "."]).current_dir(&folder))?;
    Ok(folder.join("check"))
}

fn go_module(folder: &Path, name: &str, dependency: &str) -> anyhow::Result<()> {
    if !folder.join("go.mod").exists() {
        command::output(Command::new("go").args(["mod", "init", name]).current_dir(folder))?;
    }
    command::output(Command::new("go").args(["get", dependency]).current_dir(folder)).map(drop)
}

/// The program, and the folder of its workloads.
fn build_ycsb(home: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let folder = home.join("ycsb");
    std::fs::create_dir_all(&folder)?;
    let import = format!("//go:build tools\n\npackage tools\n\nimport _ {GO_YCSB_PROGRAM:?}\n");
    std::fs::write(folder.join("tools.go"), import)?;
    go_module(&folder, "ycsb", GO_YCSB)?;
    let mut build = Command::new("go");
    build.args(["build", "-mod=mod", "-o", "go-ycsb", GO_YCSB_PROGRAM]).current_dir(&folder);
    command::run(&mut build)?;
    let module = command::output(
        Command::new("go")
            .args(["list", "-m", "-f", "{{.Dir}}", "github.com/pingcap/go-ycsb"])
            .current_dir(&folder),
    )?;
    Ok((folder.join("go-ycsb"), Path::new(module.trim()).join("workloads")))
}

/// Loads and runs one workload in raw mode.
fn run_workload(ycsb: &Path, workload: &Path, pd: &str) -> anyhow::Result<()> {
    for step in ["load", "run"] {
        let mut run = Command::new(ycsb);
        run.args([step, "tikv", "-P"]).arg(workload);
        run.args(["-p", "tikv.type=raw", "-p", &format!("tikv.pd={pd}")]);
        run.args(["-p", "recordcount=10000", "-p", "operationcount=10000", "-p", "threadcount=16"]);
        let said = command::output(&mut run)?;
        println!("{} {step}:\n{said}", workload.display());
        ensure!(!said.contains("_ERROR"), "{step} had errors");
    }
    Ok(())
}
