//! The folder that all servers are started from: certificate, key, files.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::Failure;

/// Names and sizes of what is served.
const FILES: [(&str, usize); 4] = [
    ("13.bin", 13),
    ("1k.bin", 1 << 10),
    ("64k.bin", 64 << 10),
    ("64m.bin", 64 << 20),
];

/// Gone when dropped.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new(edgeloop: &Path) -> Result<Self, Failure> {
        let place = Self(tempfile::tempdir()?);
        // nginx's worker is somebody else and reads its files in here.
        fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o711))?;
        let made = Command::new(edgeloop)
            .args(["cert", "--out-dir"])
            .arg(place.0.path())
            .stdout(Stdio::null())
            .status()?;
        if !made.success() {
            return Err("edgeloop cert has failed".into());
        }
        fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o711))?;
        fs::create_dir(place.public())?;
        for (name, bytes) in FILES {
            fs::write(place.public().join(name), noise(bytes))?;
        }
        Ok(place)
    }

    pub(crate) fn cert(&self) -> PathBuf {
        self.0.path().join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    pub(crate) fn public(&self) -> PathBuf {
        self.0.path().join("public")
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A folder of its own for one server.
    pub(crate) fn folder(&self, name: &str) -> io::Result<TempDir> {
        let folder = tempfile::Builder::new()
            .prefix(name)
            .tempdir_in(self.0.path())?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
        Ok(folder)
    }
}

/// Bytes that no server can compress (xorshift64).
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}
