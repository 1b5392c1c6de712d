//! From certificate and key files to what rustls serves with.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::chain::{self, Shown};
use super::config::Config;
use super::pem_file::{self, Section};
use super::tls_names::ByName;

/// Protocols over TLS (RFC 7301 §6), the better one first: curl asks for HTTP/1.0 by name.
const PROTOCOLS: [&str; 2] = ["http/1.1", "http/1.0"];

/// TLS settings from the files of a configuration.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Settings to serve with.
    pub config: Arc<ServerConfig>,
    /// The certificates that are served.
    pub served: Vec<Shown>,
    /// Warnings about them; each names its file.
    pub warnings: Vec<String>,
}

/// Loads certificate files, any number of times. What must outlive a reload is kept here: the
/// keys of the session tickets, so that clients resume across SIGHUP.
pub struct TlsFiles {
    provider: Arc<CryptoProvider>,
    ticketer: Arc<dyn ProducesTickets>,
}

impl TlsFiles {
    /// Makes fresh ticket keys. They never leave the process and rotate by themselves.
    ///
    /// # Errors
    ///
    /// [`TlsFilesError::Random`] when the system gives no random bytes.
    pub fn new() -> Result<Self, TlsFilesError> {
        Ok(Self {
            provider: Arc::new(aws_lc_rs::default_provider()),
            ticketer: aws_lc_rs::Ticketer::new().map_err(|_| TlsFilesError::Random)?,
        })
    }

    /// Reads both PEM files and checks that they belong together.
    ///
    /// The result speaks TLS 1.3 and 1.2 and in them HTTP/1.1 and 1.0, and keeps no sessions:
    /// resumption is by stateless tickets (RFC 8446 section 4.6.1, RFC 5077).
    ///
    /// # Errors
    ///
    /// See [`TlsFilesError`]; each names its file.
    pub fn load(&self, cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsFilesError> {
        self.serve(
            ByName::new(self.certified_key(cert, key)?, Vec::new()),
            None,
        )
    }

    /// The same with all that a configuration says: certificates for other names, and whether clients
    /// need one, too.
    ///
    /// # Errors
    ///
    /// See [`TlsFilesError`]; each names its file.
    pub fn load_all(&self, config: &Config) -> Result<TlsSettings, TlsFilesError> {
        let (now, mut warnings, mut served) = (chain::now(), Vec::new(), Vec::new());
        let mut load = |cert: &Path, key: &Path| {
            let certified = self.certified_key(cert, key)?;
            let mut found = Vec::new();
            served.extend(chain::inspect(&certified.cert, now, &mut found));
            warnings.extend(named(cert, found));
            Ok(certified)
        };
        let first = load(&config.ssl_cert_path, &config.ssl_key_path)?;
        let others = config.ssl_other_certificates.iter();
        let others = others
            .map(|(cert, key)| load(cert, key))
            .collect::<Result<_, _>>()?;
        let clients = config.ssl_client_ca_path.as_deref();
        let clients = clients.filter(|_| config.ssl_verify_client);
        if let Some(file) = clients {
            let mut found = Vec::new();
            chain::inspect_each(&read_chain(file)?, now, &mut found);
            warnings.extend(named(file, found));
        }
        Ok(TlsSettings {
            config: self.serve(ByName::new(first, others), clients)?,
            served,
            warnings,
        })
    }

    /// `clients`: the file with the authorities that may have signed their certificates.
    fn serve(
        &self,
        names: ByName,
        clients: Option<&Path>,
    ) -> Result<Arc<ServerConfig>, TlsFilesError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsFilesError::Provider)?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for cert in read_chain(file)? {
                    roots.add(cert).map_err(|error| {
                        TlsFilesError::BadCertificate(file.to_path_buf(), error)
                    })?;
                }
                let provider = Arc::clone(&self.provider);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = verifier.build().map_err(|error| {
                    let error = rustls::Error::General(error.to_string());
                    TlsFilesError::BadCertificate(file.to_path_buf(), error)
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(names));
        config.alpn_protocols = PROTOCOLS.map(|name| name.as_bytes().to_vec()).to_vec();
        config.ticketer = match clients {
            None => Arc::clone(&self.ticketer),
            // A ticket stands for the certificate that was shown, or was not, when it was made.
            Some(_) => aws_lc_rs::Ticketer::new().map_err(|_| TlsFilesError::Random)?,
        };
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }

    fn certified_key(&self, cert: &Path, key: &Path) -> Result<CertifiedKey, TlsFilesError> {
        let chain = read_chain(cert)?;
        let signing_key = self
            .provider
            .key_provider
            .load_private_key(read_key(key)?)
            .map_err(|error| TlsFilesError::BadKey(key.to_path_buf(), error))?;
        let certified = CertifiedKey::new(chain, signing_key);
        match certified.keys_match() {
            // Unknown: a kind of key that cannot tell its public half. Handshakes will tell.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(certified)
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(TlsFilesError::Mismatch {
                cert: cert.to_path_buf(),
                key: key.to_path_buf(),
            }),
            Err(error) => Err(TlsFilesError::BadCertificate(cert.to_path_buf(), error)),
        }
    }
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFiles").finish_non_exhaustive()
    }
}

/// Why certificate and key cannot be served with.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsFilesError {
    /// The file is missing or cannot be read.
    Read(PathBuf, io::Error),
    /// The file is damaged between its `BEGIN` and `END` lines.
    NotPem(PathBuf),
    /// A line of the file could hide a section.
    Malformed(PathBuf, usize, &'static str),
    /// A section, at this line, that nothing can be done with here.
    Unexpected(PathBuf, usize, String),
    /// The file has no `CERTIFICATE` section.
    NoCertificate(PathBuf),
    /// A certificate of the file is no X.509 certificate that can be used.
    BadCertificate(PathBuf, rustls::Error),
    /// The file has no private key section.
    NoKey(PathBuf),
    /// The file has more than one private key.
    ManyKeys(PathBuf),
    /// The file has a private key that takes a passphrase.
    EncryptedKey(PathBuf),
    /// The key is damaged or of an unsupported kind.
    BadKey(PathBuf, rustls::Error),
    /// The key is not the one the certificate was made for.
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The cryptographic library supports no common version of TLS.
    Provider(rustls::Error),
    /// The system gives no random bytes.
    Random,
}

impl fmt::Display for TlsFilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(file, error) if error.kind() == io::ErrorKind::NotFound => write!(
                f,
                "{}: there is no such file; a first certificate is made by: edgeloop cert",
                file.display()
            ),
            Self::Read(file, error) => write!(f, "{}: cannot be read: {error}", file.display()),
            Self::NotPem(file) => write!(f, "{}: is damaged: not well-formed PEM", file.display()),
            Self::Malformed(file, line, why) => write!(
                f,
                "{}:{line}: is damaged: not well-formed PEM: {why}",
                file.display()
            ),
            Self::Unexpected(file, line, label) => write!(
                f,
                "{}:{line}: {label:?} is neither a certificate nor a private key",
                file.display()
            ),
            Self::NoCertificate(file) => write!(f, "{}: has no certificate in it", file.display()),
            Self::BadCertificate(file, error) => {
                write!(
                    f,
                    "{}: the certificate cannot be used: {error}",
                    file.display()
                )
            }
            Self::NoKey(file) => write!(f, "{}: has no private key in it", file.display()),
            Self::ManyKeys(file) => write!(
                f,
                "{}: has several private keys, and which one to use is not known",
                file.display()
            ),
            Self::EncryptedKey(file) => write!(
                f,
                "{0}: the private key is encrypted, and a server that starts by itself knows no \
                 passphrase; store it without one: openssl pkey -in {0} -out FILE",
                file.display()
            ),
            Self::BadKey(file, error) => {
                write!(
                    f,
                    "{}: the private key cannot be used: {error}",
                    file.display()
                )
            }
            Self::Mismatch { cert, key } => write!(
                f,
                "{}: the private key does not match the certificate in {}",
                key.display(),
                cert.display()
            ),
            Self::Provider(error) => write!(f, "TLS cannot be set up: {error}"),
            Self::Random => f.write_str("TLS cannot be set up: the system gives no random bytes"),
        }
    }
}

impl Error for TlsFilesError {}

/// Puts the file before each.
fn named(file: &Path, found: Vec<String>) -> impl Iterator<Item = String> {
    let file = file.display().to_string();
    found
        .into_iter()
        .map(move |found| format!("{file}: {found}"))
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let text = read(file)?;
    let sections = sections(file, &text)?;
    let lines: Vec<_> = sections
        .iter()
        .filter(|section| section.is_certificate())
        .map(|section| section.line)
        .collect();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsFilesError::NotPem(file.to_path_buf()))?;
    if chain.len() != lines.len() {
        return Err(TlsFilesError::NotPem(file.to_path_buf()));
    }
    if chain.is_empty() {
        return Err(TlsFilesError::NoCertificate(file.to_path_buf()));
    }
    // Clients are sent all of them, and fail at one that is none. The first is looked at with its key.
    for (cert, line) in chain.iter().zip(lines).skip(1) {
        if webpki::anchor_from_trusted_cert(cert).is_err() {
            let why = "what begins here is not a certificate";
            return Err(TlsFilesError::Malformed(file.to_path_buf(), line, why));
        }
    }
    Ok(chain)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsFilesError> {
    let text = read(file)?;
    let keys = sections(file, &text)?;
    let keys = keys
        .iter()
        .filter(|section| section.is_private_key())
        .count();
    // PEM errors quote the text: they are dropped so that no part of a key is ever printed.
    let found: Result<Vec<PrivateKeyDer<'static>>, _> =
        PrivateKeyDer::pem_slice_iter(&text).collect();
    match found {
        Ok(mut found) => match (found.pop(), found.len()) {
            (Some(key), 0) => Ok(key),
            (Some(_), _) => Err(TlsFilesError::ManyKeys(file.to_path_buf())),
            (None, _) if is_encrypted(&text) => {
                Err(TlsFilesError::EncryptedKey(file.to_path_buf()))
            }
            (None, _) if keys > 0 => Err(TlsFilesError::NotPem(file.to_path_buf())),
            (None, _) => Err(TlsFilesError::NoKey(file.to_path_buf())),
        },
        Err(_) if is_encrypted(&text) => Err(TlsFilesError::EncryptedKey(file.to_path_buf())),
        Err(_) => Err(TlsFilesError::NotPem(file.to_path_buf())),
    }
}

/// All sections of a file, each of a kind that can be used here.
fn sections<'a>(file: &Path, text: &'a [u8]) -> Result<Vec<Section<'a>>, TlsFilesError> {
    let sections = pem_file::sections(text)
        .map_err(|(line, why)| TlsFilesError::Malformed(file.to_path_buf(), line, why))?;
    match sections.iter().find(|section| !section.is_expected()) {
        Some(Section { label, line }) => Err(TlsFilesError::Unexpected(
            file.to_path_buf(),
            *line,
            (*label).to_owned(),
        )),
        None => Ok(sections),
    }
}

/// Returns `true` if there is a key that takes a passphrase: of PKCS #8 (RFC 7468 §11), or with the header of
/// OpenSSL's older form (RFC 1421 §4.6.1.1).
fn is_encrypted(text: &[u8]) -> bool {
    let mut lines = text.split(|&byte| byte == b'\n' || byte == b'\r');
    lines.any(|line| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || (line.starts_with(b"Proc-Type:") && line.trim_ascii_end().ends_with(b"ENCRYPTED"))
    })
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, TlsFilesError> {
    pem_file::read(file).map_err(|error| TlsFilesError::Read(file.to_path_buf(), error))
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConnection};
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::app::cert::{self, CertFiles, CertRequest, LOCAL_HOSTS};

    fn certificate(folder: &TempDir, name: &str, hosts: &[&str]) -> CertFiles {
        cert::make(&CertRequest {
            out_dir: folder.path().join(name),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            days: 30,
            force: false,
        })
        .unwrap()
    }

    /// A client that trusts these certificates.
    fn client(trusted: &[&CertFiles]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for files in trusted {
            let root = CertificateDer::from_pem_file(&files.cert).unwrap();
            roots.add(root).unwrap();
        }
        let mut client =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(client)
    }

    /// A handshake in memory, and the tickets after it.
    fn connect(
        client: &Arc<ClientConfig>,
        server: &Arc<ServerConfig>,
        host: &str,
    ) -> Result<ClientConnection, rustls::Error> {
        let name = host.to_owned().try_into().unwrap();
        let mut client = ClientConnection::new(Arc::clone(client), name)?;
        let mut server = ServerConnection::new(Arc::clone(server))?;
        while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let mut wire_in = wire.as_slice();
            while !wire_in.is_empty() {
                server.read_tls(&mut wire_in).unwrap();
                server.process_new_packets()?;
            }
            wire.clear();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut wire_in = wire.as_slice();
            while !wire_in.is_empty() {
                client.read_tls(&mut wire_in).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(client)
    }

    fn message(cert: &Path, key: &Path) -> String {
        let files = TlsFiles::new().unwrap();
        files.load(cert, key).unwrap_err().to_string()
    }

    #[test]
    fn a_made_certificate_is_good_for_the_local_names_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let made = certificate(&folder, "certs", &[]);
        let server = TlsFiles::new()
            .unwrap()
            .load(&made.cert, &made.key)
            .unwrap();
        let client = client(&[&made]);
        for host in LOCAL_HOSTS {
            let connection = connect(&client, &server, host).unwrap();
            assert_eq!(connection.alpn_protocol(), Some(&b"http/1.1"[..]), "{host}");
        }
        for host in ["example.org", "127.0.0.2"] {
            assert!(connect(&client, &server, host).is_err(), "{host}");
        }
    }

    #[test]
    fn asked_for_names_replace_the_local_ones() {
        let folder = tempfile::tempdir().unwrap();
        let made = certificate(&folder, "certs", &["*.example.org", "192.0.2.7"]);
        let server = TlsFiles::new()
            .unwrap()
            .load(&made.cert, &made.key)
            .unwrap();
        let client = client(&[&made]);
        assert!(connect(&client, &server, "chat.example.org").is_ok());
        assert!(connect(&client, &server, "192.0.2.7").is_ok());
        assert!(connect(&client, &server, "localhost").is_err());
    }

    #[test]
    fn sessions_resume_across_a_reload_with_another_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (
            certificate(&folder, "1", &[]),
            certificate(&folder, "2", &[]),
        );
        let files = TlsFiles::new().unwrap();
        let client = client(&[&one, &two]);
        let before = files.load(&one.cert, &one.key).unwrap();
        let full = connect(&client, &before, "localhost").unwrap();
        assert_eq!(full.handshake_kind(), Some(HandshakeKind::Full));
        let after = files.load(&two.cert, &two.key).unwrap();
        let resumed = connect(&client, &after, "localhost").unwrap();
        assert_eq!(resumed.handshake_kind(), Some(HandshakeKind::Resumed));
    }

    #[test]
    fn sessions_do_not_resume_with_other_ticket_keys() {
        let folder = tempfile::tempdir().unwrap();
        let made = certificate(&folder, "certs", &[]);
        let client = client(&[&made]);
        for _ in 0..2 {
            let server = TlsFiles::new()
                .unwrap()
                .load(&made.cert, &made.key)
                .unwrap();
            let connection = connect(&client, &server, "localhost").unwrap();
            assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full));
        }
    }

    #[test]
    fn missing_files_are_named_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let made = certificate(&folder, "certs", &[]);
        let none = folder.path().join("none.pem");
        for text in [message(&none, &made.key), message(&made.cert, &none)] {
            assert!(text.ends_with(
                "none.pem: there is no such file; a first certificate is made by: edgeloop cert"
            ));
        }
        let text = message(folder.path(), &made.key);
        assert!(text.contains(": cannot be read: "), "{text}");
    }

    #[test]
    fn swapped_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let made = certificate(&folder, "certs", &[]);
        let text = message(&made.key, &made.key);
        assert!(
            text.ends_with("key.pem: has no certificate in it"),
            "{text}"
        );
        let text = message(&made.cert, &made.cert);
        assert!(
            text.ends_with("cert.pem: has no private key in it"),
            "{text}"
        );
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (
            certificate(&folder, "1", &[]),
            certificate(&folder, "2", &[]),
        );
        let text = message(&one.cert, &two.key);
        let expected = format!(
            "{}: the private key does not match the certificate in {}",
            two.key.display(),
            one.cert.display()
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn an_encrypted_key_is_said_to_be_one() {
        let folder = tempfile::tempdir().unwrap();
        let made = certificate(&folder, "certs", &[]);
        let locked = folder.path().join("locked.pem");
        for text in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-256-CBC,00\r\n\r\n\
             c2VjcmV0\r\n-----END RSA PRIVATE KEY-----\r\n",
        ] {
            fs::write(&locked, text).unwrap();
            let told = message(&made.cert, &locked);
            assert!(
                told.contains("locked.pem: the private key is encrypted"),
                "{told}"
            );
            assert!(
                told.contains("openssl pkey") && !told.contains("c2VjcmV0"),
                "{told}"
            );
        }
        // One beside it that is open is used.
        let open = fs::read_to_string(&made.key).unwrap();
        fs::write(
            &locked,
            format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n{open}"),
        )
        .unwrap();
        assert!(TlsFiles::new().unwrap().load(&made.cert, &locked).is_ok());
    }

    #[test]
    fn damaged_files_are_refused_without_quoting_them() {
        let folder = tempfile::tempdir().unwrap();
        let made = certificate(&folder, "certs", &[]);
        let bad = folder.path().join("bad.pem");

        fs::write(&bad, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n").unwrap();
        assert!(message(&made.cert, &bad).ends_with(
            "bad.pem:1: is damaged: not well-formed PEM: the section that begins here has no END line"
        ));
        fs::write(
            &bad,
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
        )
        .unwrap();
        let text = message(&made.cert, &bad);
        assert!(
            text.contains("bad.pem: the private key cannot be used: "),
            "{text}"
        );
        fs::write(
            &bad,
            "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        let text = message(&bad, &made.key);
        assert!(
            text.contains("bad.pem: the certificate cannot be used: "),
            "{text}"
        );
        fs::write(&bad, "").unwrap();
        assert!(message(&bad, &made.key).ends_with("bad.pem: has no certificate in it"));
    }

    #[test]
    fn every_section_of_a_chain_counts() {
        let folder = tempfile::tempdir().unwrap();
        let made = certificate(&folder, "certs", &[]);
        let cert = fs::read_to_string(&made.cert).unwrap();
        let key = fs::read_to_string(&made.key).unwrap();
        let chain = folder.path().join("chain.pem");
        let no_certificate = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
        let second = 1 + cert.lines().count();
        for (text, line, why) in [
            (
                format!("{cert}{no_certificate}"),
                second,
                "not a certificate",
            ),
            (
                format!("{}{cert}", cert.trim_end()),
                second - 1,
                "a line of its own",
            ),
            (format!("\u{feff}{cert}{cert}"), 1, "a line of its own"),
            (
                cert.replace("CERTIFICATE", "TRUSTED CERTIFICATE") + &cert,
                1,
                "\"TRUSTED CERTIFICATE\" is neither",
            ),
            (
                format!("{cert}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
                second,
                "\"X509 CRL\" is neither",
            ),
        ] {
            fs::write(&chain, text).unwrap();
            let told = message(&chain, &made.key);
            assert!(told.contains(&format!("chain.pem:{line}: ")), "{told}");
            assert!(told.contains(why), "{told}");
            // A file of authorities is read as a chain is.
            let clients = Config {
                ssl_cert_path: made.cert.clone(),
                ssl_key_path: made.key.clone(),
                ssl_client_ca_path: Some(chain.clone()),
                ssl_verify_client: true,
                ..Config::default()
            };
            let files = TlsFiles::new().unwrap();
            assert_eq!(files.load_all(&clients).unwrap_err().to_string(), told);
        }
        // Both in one file, with words between them, are well.
        fs::write(&chain, format!("the key:\n{key}the certificate:\r\n{cert}")).unwrap();
        let files = TlsFiles::new().unwrap();
        assert!(files.load(&chain, &chain).is_ok());
        fs::write(&chain, format!("{key}{key}")).unwrap();
        let told = message(&made.cert, &chain);
        assert!(
            told.contains("chain.pem: has several private keys"),
            "{told}"
        );
    }
}
