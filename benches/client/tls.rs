//! TLS of the clients.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use super::Failure;

/// The one version that is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

/// TLS 1.3 that trusts the certificates in this PEM file, and makes a full handshake every time.
pub(crate) fn trust(cert: &Path) -> Result<Arc<ClientConfig>, Failure> {
    trust_as(cert, Version::Tls13).map(Arc::new)
}

/// The same in this version.
///
/// It offers what browsers offer first, and that alone, so that every server encrypts the same
/// way: AES-128-GCM, with keys exchanged by X25519.
pub(crate) fn trust_as(cert: &Path, version: Version) -> Result<ClientConfig, Failure> {
    let mut provider = aws_lc_rs::default_provider();
    // Without P-256 some servers have no use for a certificate with such a key under TLS 1.2.
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
    provider.cipher_suites = vec![
        aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
        aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ];
    let version = match version {
        Version::Tls12 => &TLS12,
        Version::Tls13 => &TLS13,
    };
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(cert)? {
        roots.add(cert?)?;
    }
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[version])?
        .with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}
