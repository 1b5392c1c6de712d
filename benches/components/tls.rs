//! Records of TLS 1.3, AES-128-GCM, to and from a client in memory.

use std::hint::black_box;
use std::io::Write;

use edgeloop::app::cert::{self, CertRequest};
use edgeloop::app::tls_files::TlsFiles;
use edgeloop::proto::tls::{RECORD_OVERHEAD_BYTES_MAX, Tls};
use rustls::ClientConnection;

use super::Repeat;
use crate::client::trust;

/// Both sides of a connection after the handshake.
struct Pair {
    server: Tls,
    client: ClientConnection,
}

impl Pair {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = cert::make(&CertRequest {
            out_dir: folder.path().to_owned(),
            hosts: Vec::new(),
            days: 1,
            force: false,
        });
        let files = files.unwrap();
        let config = TlsFiles::new().unwrap().load(&files.cert, &files.key);
        let name = "localhost".try_into().unwrap();
        let mut pair = Self {
            server: Tls::new(config.unwrap()).unwrap(),
            client: ClientConnection::new(trust(&files.cert).unwrap(), name).unwrap(),
        };
        while !pair.server.is_established() || pair.client.is_handshaking() {
            pair.exchange();
        }
        pair
    }

    /// A message of the handshake to the server, and its answer.
    fn exchange(&mut self) {
        let mut cipher = sealed(&mut self.client);
        let (mut plain, mut out) = (vec![0; cipher.len()], Vec::new());
        let received = self.server.receive(&mut cipher, &mut plain, &mut out);
        assert_eq!(received.unwrap().used, cipher.len());
        let mut response = out.as_slice();
        while !response.is_empty() {
            self.client.read_tls(&mut response).unwrap();
            self.client.process_new_packets().unwrap();
        }
    }
}

/// Bytes that the client has to send.
fn sealed(client: &mut ClientConnection) -> Vec<u8> {
    let mut cipher = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut cipher).unwrap();
    }
    cipher
}

/// A record of the client decrypted.
pub(crate) fn record_in(repeat: impl Repeat, bytes: usize) {
    let Pair {
        mut server,
        mut client,
    } = Pair::new();
    let payload = vec![b'x'; bytes];
    let (mut plain, mut out) = (vec![0; bytes + RECORD_OVERHEAD_BYTES_MAX], Vec::new());
    repeat.repeat_on(
        || {
            client.writer().write_all(&payload).unwrap();
            sealed(&mut client)
        },
        |cipher| {
            let received = server.receive(black_box(cipher), &mut plain, &mut out);
            assert_eq!(received.unwrap().plain, bytes);
        },
    );
}

/// A record for the client encrypted.
pub(crate) fn record_out(repeat: impl Repeat, bytes: usize) {
    let Pair { mut server, .. } = Pair::new();
    let payload = vec![b'x'; bytes];
    let mut room = vec![0; bytes + RECORD_OVERHEAD_BYTES_MAX];
    repeat.repeat(|| {
        let written = server.encrypt(&mut [], black_box(&payload), &mut room);
        assert!(written.unwrap() > bytes);
    });
}
