//! The programs: builds ours, and gets those of others.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Failure;

const BUN: &str = "bun@1.4.5";

/// Paths of the programs, or the reasons why they are missing.
pub(crate) struct Programs {
    paths: BTreeMap<&'static str, Result<PathBuf, String>>,
}

impl Programs {
    /// Builds and fetches what is missing; only what belongs to the main package must be there.
    pub(crate) fn get(root: &Path, profile: &str) -> Result<Self, Failure> {
        let mut paths = BTreeMap::new();
        eprintln!("building edgeloop, the load and the floor ...");
        let mut ours = cargo(
            root,
            &["build"],
            profile,
            &["--bin=edgeloop", "--example=ws_echo"],
        )?;
        // As `cargo bench` has them, so that they are not built twice.
        let benches = ["--bench=load", "--bench=floor", "--bench=hello"];
        ours.extend(cargo(root, &["bench", "--no-run"], profile, &benches)?);
        for name in ["edgeloop", "ws_echo", "load", "floor", "hello"] {
            let path = ours
                .get(name)
                .ok_or_else(|| format!("cargo built no {name}"))?;
            paths.insert(name, Ok(path.clone()));
        }
        eprintln!("building the server of hyper ...");
        let hyper = cargo(
            &root.join("benches/peers"),
            &["build"],
            profile,
            &["--bin=hyper-peer"],
        )
        .and_then(|built| Ok(built.get("hyper-peer").ok_or("cargo built none")?.clone()));
        paths.insert("hyper", hyper.map_err(|error| error.to_string()));
        let folder = root.join("target/peers");
        fs::create_dir_all(&folder)?;
        paths.insert("nginx", nginx(&folder).map_err(|error| error.to_string()));
        paths.insert("bun", bun(&folder).map_err(|error| error.to_string()));
        for (name, path) in &paths {
            if let Err(why) = path {
                eprintln!("NOTE: {name} is left out: {why}");
            }
        }
        Ok(Self { paths })
    }

    pub(crate) fn path(&self, name: &str) -> Result<&Path, String> {
        match self.paths.get(name) {
            Some(Ok(path)) => Ok(path),
            Some(Err(why)) => Err(why.clone()),
            None => Err("not a program".to_owned()),
        }
    }

    /// Those that could not be had, and why.
    pub(crate) fn missing(&self) -> BTreeMap<String, String> {
        let missing = self.paths.iter();
        missing
            .filter_map(|(name, path)| Some(((*name).to_owned(), path.as_ref().err()?.clone())))
            .collect()
    }
}

/// Runs cargo and returns the executables it has made, by the name of their target.
fn cargo(
    folder: &Path,
    command: &[&str],
    profile: &str,
    args: &[&str],
) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .args(command)
        .args(["--locked", "--profile", profile])
        .args(args)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo {} {} has failed", command.join(" "), args.join(" ")).into());
    }
    let mut executables = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let name = message.pointer("/target/name").and_then(Value::as_str);
        let path = message.get("executable").and_then(Value::as_str);
        if let (Some(name), Some(path)) = (name, path) {
            executables.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(executables)
}

/// The one that is installed, or Debian's, unpacked below target/.
fn nginx(folder: &Path) -> Result<PathBuf, Failure> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.push(PathBuf::from("/usr/sbin"));
    if let Some(found) = folders
        .iter()
        .map(|f| f.join("nginx"))
        .find(|f| f.is_file())
    {
        return Ok(found);
    }
    let unpacked = folder.join("nginx/usr/sbin/nginx");
    if !unpacked.is_file() {
        eprintln!("fetching nginx ...");
        let fetched = tempfile::tempdir_in(folder)?;
        let download = |folder: &Path| quiet(folder, "apt-get", &["download", "-qq", "nginx"]);
        if download(fetched.path()).is_err() {
            // The lists of packages may be old, or none.
            quiet(fetched.path(), "apt-get", &["update", "-qq"])?;
            download(fetched.path())?;
        }
        for package in fs::read_dir(fetched.path())? {
            let package = package?.path();
            let package = package.to_str().ok_or("not a path in UTF-8")?;
            quiet(folder, "dpkg", &["-x", package, "nginx"])?;
        }
    }
    unpacked
        .is_file()
        .then_some(unpacked)
        .ok_or_else(|| "Debian's package has no nginx in it".into())
}

/// From npm, below target/.
fn bun(folder: &Path) -> Result<PathBuf, Failure> {
    let path = folder.join("node_modules/.bin/bun");
    let wanted = BUN.rsplit('@').next().unwrap_or_default();
    let is_there = || output(&path, &["--version"]).is_ok_and(|version| version.trim() == wanted);
    if !is_there() {
        eprintln!("fetching {BUN} ...");
        let args = [
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            ".",
            BUN,
        ];
        quiet(folder, "npm", &args)?;
        if !is_there() {
            return Err("npm has installed it, but it does not run".into());
        }
    }
    Ok(path)
}

fn quiet(folder: &Path, program: &str, args: &[&str]) -> Result<(), Failure> {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program} {} has failed",
        args.first().copied().unwrap_or_default()
    )
    .into())
}

/// Output of a program, on either stream.
pub(crate) fn output(program: &Path, args: &[&str]) -> Result<String, Failure> {
    let output = Command::new(program).args(args).output()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(text)
}
