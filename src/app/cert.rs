//! A self-signed certificate for a first run: `edgeloop cert`.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::DnsName;
use zeroize::Zeroizing;

/// The names of a certificate that was asked for without any.
pub const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clients whose clock is behind ours by up to this still accept a new certificate.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// Request for a certificate: names, days, and the folder to write to.
#[derive(Debug, Clone)]
pub struct CertRequest {
    /// Folder for `cert.pem` and `key.pem`; made when missing.
    pub out_dir: PathBuf,
    /// DNS names and IP addresses the certificate is for; none means [`LOCAL_HOSTS`].
    pub hosts: Vec<String>,
    /// Days until it expires.
    pub days: u32,
    /// `true` if files that exist are replaced.
    pub force: bool,
}

/// The files that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertFiles {
    /// The certificate, mode 0644.
    pub cert: PathBuf,
    /// Its private key, mode 0600.
    pub key: PathBuf,
}

/// Why no certificate was made. Nothing was overwritten.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertError {
    /// The file is there already, and replacing it was not asked for.
    Exists(PathBuf),
    /// Neither an IP address nor a DNS name.
    BadHost(String),
    /// The certificate would expire beyond what can be expressed.
    BadDays(u32),
    /// A file or folder could not be written.
    Write(PathBuf, io::Error),
    /// The key or the certificate could not be made.
    Make(rcgen::Error),
}

impl fmt::Display for CertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => write!(
                f,
                "{} exists already; --force replaces certificate and key",
                path.display()
            ),
            Self::BadHost(host) => write!(f, "{host:?} is neither a DNS name nor an IP address"),
            Self::BadDays(days) => write!(f, "a certificate cannot be good for {days} days"),
            Self::Write(path, error) => write!(f, "{}: cannot be written: {error}", path.display()),
            Self::Make(error) => write!(f, "the certificate could not be made: {error}"),
        }
    }
}

impl Error for CertError {}

/// Makes an ECDSA P-256 key and a self-signed certificate for it.
///
/// Each file appears whole or not at all, and the key is never readable by others, not even
/// for a moment. A crash between the two leaves a key that does not match the certificate,
/// which [`TlsFiles::load`](super::tls_files::TlsFiles::load) says.
///
/// # Errors
///
/// See [`CertError`]. Whether files exist and names are good is checked before anything is written.
pub fn make(request: &CertRequest) -> Result<CertFiles, CertError> {
    let files = CertFiles {
        cert: request.out_dir.join("cert.pem"),
        key: request.out_dir.join("key.pem"),
    };
    if !request.force {
        for path in [&files.cert, &files.key] {
            if path.symlink_metadata().is_ok() {
                return Err(CertError::Exists(path.clone()));
            }
        }
    }
    let params = params(request)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CertError::Make)?;
    let cert = params.self_signed(&key).map_err(CertError::Make)?;

    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |error| CertError::Write(path, error)
    };
    fs::create_dir_all(&request.out_dir).map_err(failed(&request.out_dir))?;
    let key_pem = Zeroizing::new(key.serialize_pem());
    write_whole(&files.key, 0o600, key_pem.as_bytes()).map_err(failed(&files.key))?;
    write_whole(&files.cert, 0o644, cert.pem().as_bytes()).map_err(failed(&files.cert))?;
    File::open(&request.out_dir)
        .and_then(|folder| folder.sync_all())
        .map_err(failed(&request.out_dir))?;
    Ok(files)
}

fn params(request: &CertRequest) -> Result<CertificateParams, CertError> {
    let hosts = match request.hosts.as_slice() {
        [] => LOCAL_HOSTS.map(str::to_owned).to_vec(),
        hosts => hosts.to_vec(),
    };
    if let Some(bad) = hosts.iter().find(|host| !is_host(host)) {
        return Err(CertError::BadHost(bad.clone()));
    }
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "edgeloop self-signed");
    if let Some(first) = hosts.first() {
        name.push(DnType::CommonName, first.as_str());
    }
    let mut params = CertificateParams::new(hosts).map_err(CertError::Make)?;
    let now = SystemTime::now();
    let until = DAY
        .checked_mul(request.days)
        .and_then(|life| now.checked_add(life))
        .filter(|_| (1..=36_500).contains(&request.days))
        .ok_or(CertError::BadDays(request.days))?;
    params.not_before = now.checked_sub(CLOCK_SKEW).unwrap_or(now).into();
    params.not_after = until.into();
    params.distinguished_name = name;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// An IP address, a DNS name, or a DNS name behind `*.`.
fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    text.parse::<IpAddr>().is_ok() || DnsName::try_from(name).is_ok()
}

/// Writes beside the file, then renames: after a crash the old file or the new one is there.
fn write_whole(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    // A leftover of a crashed process with our id may have any mode.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .and_then(|mut file| {
            // The mode given to open is cut by the umask.
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        fs::remove_file(&beside).ok();
    }
    written
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;

    fn request(out_dir: &Path) -> CertRequest {
        CertRequest {
            out_dir: out_dir.to_path_buf(),
            hosts: Vec::new(),
            days: 365,
            force: false,
        }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_have_their_modes_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let out_dir = folder.path().join("made/here");
        let files = make(&request(&out_dir)).unwrap();
        assert_eq!(mode(&files.cert), 0o644);
        assert_eq!(mode(&files.key), 0o600);
        assert_eq!(fs::read_dir(&out_dir).unwrap().count(), 2);
    }

    #[test]
    fn nothing_is_overwritten_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cert.pem", "key.pem"] {
            let there = folder.path().join(name);
            fs::write(&there, "precious").unwrap();
            let error = make(&request(folder.path())).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "{} exists already; --force replaces certificate and key",
                    there.display()
                )
            );
            assert_eq!(fs::read_to_string(&there).unwrap(), "precious");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            fs::remove_file(there).unwrap();
        }
    }

    #[test]
    fn force_replaces_and_tightens_an_open_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        fs::write(&key, "old").unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o666)).unwrap();
        let forced = CertRequest {
            force: true,
            ..request(folder.path())
        };
        make(&forced).unwrap();
        assert_eq!(mode(&key), 0o600);
        let pem = fs::read_to_string(&key).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn the_key_is_p256_and_the_use_is_server_authentication() {
        let folder = tempfile::tempdir().unwrap();
        let files = make(&request(folder.path())).unwrap();
        let der = CertificateDer::from_pem_file(&files.cert).unwrap();
        let has = |oid: &[u8]| der.windows(oid.len()).any(|window| window == oid);
        let prime256v1 = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
        let server_auth = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
        assert!(has(prime256v1));
        assert!(has(server_auth));
    }

    #[test]
    fn bad_names_and_days_are_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let out_dir = folder.path().join("certs");
        for bad in [
            "",
            "a b",
            "exämple.org",
            "https://a.example",
            "*.",
            "1.2.3.4.5/8",
        ] {
            let request = CertRequest {
                hosts: vec!["good.example".to_owned(), bad.to_owned()],
                ..request(&out_dir)
            };
            assert_eq!(
                make(&request).unwrap_err().to_string(),
                format!("{bad:?} is neither a DNS name nor an IP address")
            );
        }
        for days in [0, 36_501, u32::MAX] {
            let request = CertRequest {
                days,
                ..request(&out_dir)
            };
            assert!(matches!(make(&request), Err(CertError::BadDays(_))));
        }
        assert!(!out_dir.exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = make(&request(&file.join("certs"))).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("file/certs: cannot be written: ")
        );
    }
}
