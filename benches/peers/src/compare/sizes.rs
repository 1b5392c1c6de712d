//! Sizes of executables, and durations of builds.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::figures::{Builds, Size};
use crate::programs::Programs;
use crate::{Failure, machine};

/// Of those that are there; stripped where strip(1) is.
pub(crate) fn executables(programs: &Programs, scratch: &Path) -> BTreeMap<String, Size> {
    let mut sizes = BTreeMap::new();
    for name in ["edgeloop", "hyper", "nginx", "bun"] {
        let Ok(path) = programs.path(name) else {
            continue;
        };
        if let Ok(metadata) = fs::metadata(path) {
            let size = Size {
                bytes: metadata.len(),
                stripped_bytes: stripped(path, scratch),
            };
            sizes.insert(name.to_owned(), size);
        }
    }
    sizes
}

fn stripped(path: &Path, scratch: &Path) -> Option<u64> {
    let copy = scratch.join("stripped");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&copy).arg(path).stderr(Stdio::null());
    if !strip.status().ok()?.success() {
        return None;
    }
    let bytes = fs::metadata(&copy).ok()?.len();
    fs::remove_file(copy).ok()?;
    Some(bytes)
}

/// Builds from nothing: the library alone, and all of the server.
pub(crate) fn builds(root: &Path) -> Result<Builds, Failure> {
    let mut seconds = BTreeMap::new();
    for (what, args) in [
        (
            "the library without features",
            &["--lib", "--no-default-features"][..],
        ),
        ("the server", &["--bin=edgeloop"][..]),
    ] {
        eprintln!("building {what} ...");
        let folder = tempfile::tempdir_in(root.join("target"))?;
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let begun = Instant::now();
        let built = Command::new(cargo)
            .args(["build", "--release", "--locked", "--quiet"])
            .args(args)
            .arg("--target-dir")
            .arg(folder.path())
            .current_dir(root)
            .status()?;
        if !built.success() {
            return Err(format!("building {what} has failed").into());
        }
        seconds.insert(what.to_owned(), begun.elapsed().as_secs_f64());
    }
    Ok(Builds {
        date: machine::date()?,
        seconds,
    })
}
