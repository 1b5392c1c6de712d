//! Preconditions of a start: the files and folders the configuration names, and
//! for `--check` all the rest that a start would find, too.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::assets;
use super::config::Config;
use super::fd_limit;
use super::server;
use super::sockets;
use super::store::{self, OpenError, Store};
use super::tls_files::{TlsFiles, TlsSettings};

/// Loads the certificates and looks at the folders. Nothing is made or changed. `port_file` is what the
/// command line names.
///
/// # Errors
///
/// One sentence for everything that is wrong, not only for the first.
pub fn files(
    config: &Config,
    port_file: Option<&Path>,
) -> Result<(TlsFiles, TlsSettings), Vec<String>> {
    let mut errors = Vec::new();
    let tls = TlsFiles::new().and_then(|files| {
        let tls = files.load_all(config)?;
        Ok((files, tls))
    });
    if let Err(error) = &tls {
        errors.push(error.to_string());
    }
    errors.extend(folder("public_dir", &config.public_dir).err());
    errors.extend(place_for_file("db_path", &config.db_path).err());
    if config.log_to_file {
        errors.extend(place_for_file("log_file_path", &config.log_file_path).err());
        errors.extend(appendable(&config.log_file_path).err());
    }
    if let Some(path) = port_file {
        errors.extend(place_for_file("--port-file", path).err());
    }
    match tls {
        Ok(tls) if errors.is_empty() => Ok(tls),
        _ => Err(errors),
    }
}

/// Findings of a trial start beyond [`files`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Preflight {
    /// Errors that it would stop at.
    pub errors: Vec<String>,
    /// Warnings, among them errors that may pass: a port that is taken now.
    pub warnings: Vec<String>,
}

/// Goes through the start by the functions it is made of, as far as nothing is made or changed.
/// `is_activated`: sockets were passed, so none is bound.
#[must_use]
pub fn rehearse(config: &Config, is_activated: bool) -> Preflight {
    let mut found = Preflight::default();
    found
        .errors
        .extend(server::reactor_config(config, server::hashers()).err());
    let inspected = Store::inspect(&config.db_path, store::StoreOptions::default());
    found
        .errors
        .extend(inspected.err().map(|error| db_error(config, &error)));
    match assets::load(config) {
        Ok(folder) => found.warnings.extend(folder.skipped()),
        Err(error) => found.errors.push(error),
    }
    if !is_activated {
        for error in sockets::bind_all(config).err().into_iter().flatten() {
            // The server that will read this configuration may be the one that has it.
            let list = if error.is_taken() {
                &mut found.warnings
            } else {
                &mut found.errors
            };
            list.push(error.to_string());
        }
    }
    if let Some(Err(error)) = sockets::bind_metrics(config) {
        found.warnings.push(format!("no metrics: {error}"));
    }
    found
        .warnings
        .extend(fd_limit::shortage(config.max_connections));
    found
}

/// The database cannot be opened.
pub(super) fn db_error(config: &Config, error: &OpenError) -> String {
    format!("db_path: {}: {error}", config.db_path.display())
}

fn folder(key: &str, path: &Path) -> Result<(), String> {
    match fs::read_dir(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
            "{key}: {}: there is no such folder",
            path.display()
        )),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(format!("{key}: {}: is not a folder", path.display()))
        }
        Err(error) => Err(format!(
            "{key}: {}: cannot be read: {error}",
            path.display()
        )),
    }
}

/// The file may be missing, the folder it goes to may not: there it is made, or replaced, or gets files
/// beside it.
fn place_for_file(key: &str, path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path);
    if metadata.as_ref().is_ok_and(fs::Metadata::is_dir) {
        return Err(format!(
            "{key}: {}: is a folder, not a file",
            path.display()
        ));
    }
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    match fs::metadata(&parent) {
        Ok(metadata) if metadata.is_dir() => {}
        // The one that says why there is none.
        _ => return folder(key, &parent),
    }
    if metadata.is_ok() && key == "log_file_path" {
        // Its folder counts only when it is to be rotated, and then the log says so.
        return Ok(());
    }
    access(&parent, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        format!(
            "{key}: {}: this user cannot make files in its folder {}: {}",
            path.display(),
            parent.display(),
            io::Error::from(error)
        )
    })
}

/// A file that is there may be written to.
fn appendable(path: &Path) -> Result<(), String> {
    // To open a pipe would wait for its reader.
    if !fs::metadata(path).is_ok_and(|file| file.is_file()) {
        return Ok(());
    }
    match OpenOptions::new().append(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "log_file_path: {}: cannot be opened: {error}",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::app::cert::{self, CertRequest};

    fn complete(folder: &TempDir) -> Config {
        let out_dir = folder.path().join("certs");
        let made = cert::make(&CertRequest {
            out_dir,
            hosts: Vec::new(),
            days: 1,
            force: false,
        })
        .unwrap();
        Config {
            ssl_cert_path: made.cert,
            ssl_key_path: made.key,
            public_dir: folder.path().to_path_buf(),
            db_path: folder.path().join("users.db"),
            log_file_path: folder.path().join("server.log"),
            ..Config::default()
        }
    }

    #[test]
    fn a_complete_setup_passes_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let config = complete(&folder);
        assert!(files(&config, None).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let here = Config {
            db_path: "users.db".into(),
            ..config
        };
        assert!(files(&here, None).is_ok());
    }

    #[test]
    fn everything_that_is_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "").unwrap();
        let config = Config {
            ssl_cert_path: at("no.pem"),
            public_dir: at("file"),
            db_path: at("none/users.db"),
            log_file_path: folder.path().to_path_buf(),
            ..complete(&folder)
        };
        let shown = |name: &str| at(name).display().to_string();
        assert_eq!(
            files(&config, None).unwrap_err(),
            [
                format!(
                    "{}: there is no such file; a first certificate is made by: edgeloop cert",
                    shown("no.pem")
                ),
                format!("public_dir: {}: is not a folder", shown("file")),
                format!("db_path: {}: there is no such folder", shown("none")),
                format!(
                    "log_file_path: {}: is a folder, not a file",
                    folder.path().display()
                ),
            ]
        );
        let quiet = Config {
            log_to_file: false,
            ..config
        };
        assert_eq!(files(&quiet, None).unwrap_err().len(), 3);
    }
}
