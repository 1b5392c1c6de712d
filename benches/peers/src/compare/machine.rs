//! The machine, and the versions of everything.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use crate::Failure;
use crate::programs::{Programs, output};

/// The day, as date(1) has it.
pub(crate) fn date() -> Result<String, Failure> {
    let date = output(Path::new("date"), &["-u", "+%Y-%m-%d"])?;
    Ok(date.trim().to_owned())
}

pub(crate) fn load_average() -> Result<String, Failure> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let averages: Vec<&str> = text.split_whitespace().take(3).collect();
    Ok(averages.join(", "))
}

pub(crate) fn describe() -> Result<BTreeMap<String, String>, Failure> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory_kib = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok());
    let entries = [
        (
            "CPU",
            model
                .map_or("unknown", |(_, model)| model.trim())
                .to_owned(),
        ),
        ("cores", thread::available_parallelism()?.to_string()),
        (
            "memory",
            format!("{:.0} GiB", memory_kib.unwrap_or(0.0) / 1_048_576.0),
        ),
        ("kernel", format!("Linux {}", kernel.trim())),
        ("TCP congestion control", congestion.trim().to_owned()),
        ("load average before it", load_average()?),
    ];
    let entries = entries.into_iter();
    Ok(entries
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// Versions that could be found.
pub(crate) fn versions(root: &Path, programs: &Programs) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let mut found = |name: &str, version: Option<String>| {
        if let Some(version) = version.filter(|version| !version.is_empty()) {
            versions.insert(name.to_owned(), version);
        }
    };
    let said = |program: &Path, args: &[&str]| output(program, args).ok();
    let git = Path::new("git");
    let commit = |text: String| text.trim().to_owned();
    let folder = root.display().to_string();
    let revision = ["-C", &folder, "describe", "--always", "--dirty"];
    found("edgeloop", said(git, &revision).map(commit));
    found(
        "rustc",
        said(Path::new("rustc"), &["--version"]).and_then(word),
    );
    if let Ok(nginx) = programs.path("nginx") {
        let text = said(nginx, &["-V"]).unwrap_or_default();
        found("nginx", after(&text, "nginx/"));
        found("OpenSSL of nginx", after(&text, "OpenSSL "));
    }
    if let Ok(bun) = programs.path("bun") {
        found("Bun", said(bun, &["--version"]).map(commit));
    }
    let ours = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    for name in ["mio", "rustls", "aws-lc-rs"] {
        found(&format!("{name} of edgeloop"), locked(&ours, name));
    }
    let peers = fs::read_to_string(root.join("benches/peers/Cargo.lock")).unwrap_or_default();
    let of_hyper = [
        "tokio",
        "tokio-rustls",
        "fastwebsockets",
        "tokio-tungstenite",
    ];
    for name in ["hyper"].into_iter().chain(of_hyper) {
        found(name, locked(&peers, name));
    }
    for name in ["rustls", "aws-lc-rs"] {
        found(&format!("{name} of hyper's server"), locked(&peers, name));
    }
    versions
}

/// The second word.
fn word(text: String) -> Option<String> {
    text.split_whitespace().nth(1).map(str::to_owned)
}

/// The word that follows.
fn after(text: &str, prefix: &str) -> Option<String> {
    let (_, rest) = text.split_once(prefix)?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// The version of a package in a lock file.
fn locked(lock: &str, name: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next().map(str::to_owned)
}
