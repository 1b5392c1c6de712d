//! Whatever a peer sends, before, within or after a handshake: an error at worst.

#![no_main]

use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use edgeloop::proto::tls::{RECORD_OVERHEAD_BYTES_MAX, Tls, TlsError};
use libfuzzer_sys::fuzz_target;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

static CONFIGS: LazyLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let cert: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.clone()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth();
    let client = ClientConfig::builder().with_root_certificates(roots);
    (
        Arc::new(server.with_single_cert(vec![cert], key).unwrap()),
        Arc::new(client.with_no_client_auth()),
    )
});

/// A server as the engine drives it: what is not used is shown again.
struct Server {
    tls: Tls,
    pending: Vec<u8>,
    out: Vec<u8>,
    failed: bool,
}

impl Server {
    fn input(&mut self, bytes: &[u8]) {
        if self.failed {
            return;
        }
        self.pending.extend_from_slice(bytes);
        let mut plain = vec![0; self.pending.len()];
        match self
            .tls
            .receive(&mut self.pending, &mut plain, &mut self.out)
        {
            Ok(received) => {
                assert!(received.plain <= plain.len());
                self.pending.drain(..received.used);
                let mut room = [0; 64 + 2 * RECORD_OVERHEAD_BYTES_MAX];
                let sealed = self.tls.encrypt(&mut self.pending, b"answer", &mut room);
                assert_ne!(sealed, Err(TlsError::Panicked));
            }
            Err(error) => {
                assert_ne!(error, TlsError::Panicked);
                self.failed = true;
            }
        }
    }
}

/// A client's hello, or all it takes to stand.
fn shake_hands(server: &mut Server, rounds: u8) {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::clone(&CONFIGS.1), name).unwrap();
    client.writer().write_all(b"hello").unwrap();
    for _ in 0..rounds {
        let mut sent = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut sent).unwrap();
        }
        server.input(&sent);
        let responded = std::mem::take(&mut server.out);
        client.read_tls(&mut responded.as_slice()).unwrap();
        client.process_new_packets().unwrap();
        client.reader().read(&mut [0; 64]).ok();
    }
}

fuzz_target!(|input: (u8, u8, Vec<u8>)| {
    let (rounds, cut, bytes) = input;
    let tls = Tls::new(Arc::clone(&CONFIGS.0)).unwrap();
    let mut server = Server {
        tls,
        pending: Vec::new(),
        out: Vec::new(),
        failed: false,
    };
    shake_hands(&mut server, rounds % 3);
    let (first, rest) = bytes.split_at(usize::from(cut).min(bytes.len()));
    server.input(first);
    server.input(rest);
    server.tls.close(&mut server.pending, &mut server.out);
});
