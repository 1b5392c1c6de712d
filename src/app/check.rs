//! What must be in place before the server starts: the files and folders the configuration names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;

use super::config::Config;
use super::tls_files::TlsFiles;

/// Loads the certificates and looks at the folders. Nothing is made or changed.
///
/// # Errors
///
/// One sentence for everything that is wrong, not only for the first.
pub fn files(config: &Config) -> Result<(TlsFiles, Arc<ServerConfig>), Vec<String>> {
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
    }
    match tls {
        Ok(tls) if errors.is_empty() => Ok(tls),
        _ => Err(errors),
    }
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

/// The file may be missing; the folder it goes to may not.
fn place_for_file(key: &str, path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(format!(
            "{key}: {}: is a folder, not a file",
            path.display()
        ));
    }
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    folder(key, &parent)
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
        assert!(files(&config).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let here = Config {
            db_path: "users.db".into(),
            ..config
        };
        assert!(files(&here).is_ok());
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
            files(&config).unwrap_err(),
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
        assert_eq!(files(&quiet).unwrap_err().len(), 3);
    }
}
