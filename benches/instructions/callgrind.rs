//! Runs this program under valgrind, and reads what it has counted.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;

use crate::client::Failure;
use crate::operations::Operation;

/// A valgrind that is there.
#[derive(Debug)]
pub(crate) struct Callgrind {
    version: String,
    program: PathBuf,
    folder: TempDir,
}

impl Callgrind {
    /// Looks for it.
    pub(crate) fn new() -> Result<Self, Failure> {
        let output = match Command::new("valgrind").arg("--version").output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let hint = "on Debian: apt-get install valgrind";
                return Err(format!("valgrind counts, and is not installed; {hint}").into());
            }
            output => output?,
        };
        let folder = tempfile::tempdir()?;
        // Its path is on the stack, and would move what is above it.
        let program = folder.path().join("program");
        symlink(env::current_exe()?, &program)?;
        Ok(Self {
            version: String::from_utf8(output.stdout)?.trim().to_owned(),
            program,
            folder,
        })
    }

    /// Tools that a count depends on: compiler, valgrind, and the CPU as it looks from inside.
    pub(crate) fn tools(&self) -> Result<Vec<String>, Failure> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let rustc = Command::new(rustc).arg("--version").output()?;
        let features = self.inside(&["--tool=none"], &["features"])?;
        let rustc = String::from_utf8(rustc.stdout)?;
        let tools = [self.version.as_str(), rustc.trim(), features.trim()];
        Ok(tools.map(str::to_owned).to_vec())
    }

    /// The instructions of one operation.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts are far below 2^52, and shown to a tenth"
    )]
    pub(crate) fn count(&self, operation: &Operation) -> Result<f64, Failure> {
        let few = self.count_many(operation.name, operation.few)?;
        let many = self.count_many(operation.name, operation.many)?;
        let difference = many.checked_sub(few).filter(|difference| *difference > 0);
        let difference = difference
            .ok_or_else(|| format!("{}: {few} and {many} make no sense", operation.name))?;
        Ok(difference as f64 / (operation.many - operation.few) as f64)
    }

    fn count_many(&self, name: &str, count: u64) -> Result<u64, Failure> {
        let file = self.folder.path().join("out");
        let out = format!("--callgrind-out-file={}", file.display());
        // What is made ready before is not counted: much of it is made from chance, as keys are.
        let within = "--toggle-collect=*counted_operations*";
        let tool = ["--tool=callgrind", within, &out];
        self.inside(&tool, &["run", name, &count.to_string()])?;
        let text = fs::read_to_string(&file)?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        let total = total.ok_or("callgrind has written no total")?;
        Ok(total.trim().parse()?)
    }

    /// Runs this program in there, and returns what it prints.
    fn inside(&self, valgrind: &[&str], args: &[&str]) -> Result<String, Failure> {
        // So is the environment.
        let output = Command::new("valgrind")
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .args(valgrind)
            .arg(&self.program)
            .args(args)
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("valgrind {}: {}\n{said}", args.join(" "), output.status).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The extensions of this CPU that code here asks for.
#[cfg(target_arch = "x86_64")]
pub(crate) fn features() -> String {
    use std::arch::is_x86_feature_detected;
    let features = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("aes", is_x86_feature_detected!("aes")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("sha", is_x86_feature_detected!("sha")),
        ("vaes", is_x86_feature_detected!("vaes")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    let there = features.iter().filter(|(_, is_there)| *is_there);
    let names: Vec<&str> = there.map(|(name, _)| *name).collect();
    format!("x86-64 with {}", names.join(", "))
}

/// The extensions of this CPU are those of its name.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn features() -> String {
    env::consts::ARCH.to_owned()
}
