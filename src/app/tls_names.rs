//! Several certificates on one port: each client gets the one for the name it asks for.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;
use webpki::EndEntityCert;

/// Chooses by the name in SNI (RFC 6066 §3), which a certificate may have with a wildcard, and by
/// the kinds of signatures the client can check. Where none is for the name, it is the first.
pub(super) struct ByName {
    first: Arc<CertifiedKey>,
    others: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    pub(super) fn new(first: CertifiedKey, others: Vec<CertifiedKey>) -> Self {
        Self {
            first: Arc::new(first),
            others: others.into_iter().map(Arc::new).collect(),
        }
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if self.others.is_empty() {
            return Some(Arc::clone(&self.first));
        }
        let schemes = hello.signature_schemes();
        let is_understood = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let all = || std::iter::once(&self.first).chain(&self.others);
        let name = hello.server_name();
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| {
            let named = all().filter(|key| is_for(key, &name));
            named.into_iter().find(is_understood)
        });
        named.or_else(|| all().find(is_understood)).map(Arc::clone)
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let cert = key.cert.first();
    cert.and_then(|cert| EndEntityCert::try_from(cert).ok())
        .is_some_and(|cert| cert.verify_is_valid_for_subject_name(name).is_ok())
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByName")
            .field("others", &self.others.len())
            .finish_non_exhaustive()
    }
}
