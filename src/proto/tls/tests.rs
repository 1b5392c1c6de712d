use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SupportedProtocolVersion,
};

use super::*;

type Versions<'a> = &'a [&'static SupportedProtocolVersion];

fn identity() -> &'static (CertificateDer<'static>, Vec<u8>) {
    static IDENTITY: OnceLock<(CertificateDer<'static>, Vec<u8>)> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        (made.cert.der().clone(), made.signing_key.serialize_der())
    })
}

/// A server with a certificate of its own making.
pub(crate) fn server_config() -> Arc<ServerConfig> {
    let (cert, key) = identity();
    let key = PrivateKeyDer::try_from(key.clone()).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], key)
        .unwrap();
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    Arc::new(config)
}

fn client_config(versions: Versions<'_>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(identity().0.clone()).unwrap();
    ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A client that keeps what it has received.
pub(crate) struct TlsClient {
    conn: ClientConnection,
    pub(crate) plain: Vec<u8>,
    /// The server sent close_notify.
    pub(crate) closed: bool,
    pub(crate) error: Option<rustls::Error>,
}

impl TlsClient {
    pub(crate) fn new(versions: Versions<'_>) -> Self {
        Self::with(Arc::new(client_config(versions)))
    }

    fn with(config: Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let mut conn = ClientConnection::new(config, name).unwrap();
        conn.set_buffer_limit(None);
        Self {
            conn,
            plain: Vec::new(),
            closed: false,
            error: None,
        }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.conn.is_handshaking()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.conn.writer().write_all(bytes).unwrap();
    }

    pub(crate) fn close(&mut self) {
        self.conn.send_close_notify();
    }

    pub(crate) fn refresh_keys(&mut self) {
        self.conn.refresh_traffic_keys().unwrap();
    }

    pub(crate) fn output(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.conn.wants_write() {
            self.conn.write_tls(&mut out).unwrap();
        }
        out
    }

    pub(crate) fn input(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.error.is_none() {
            assert!(!self.closed, "bytes behind the close_notify");
            self.conn.read_tls(&mut bytes).unwrap();
            match self.conn.process_new_packets() {
                Ok(state) => {
                    let mut room = vec![0; state.plaintext_bytes_to_read()];
                    self.conn.reader().read_exact(&mut room).unwrap();
                    self.plain.extend(room);
                    self.closed |= state.peer_has_closed();
                }
                Err(error) => self.error = Some(error),
            }
        }
    }
}

/// A server with the input it has not used, the output it has not sent, and what it has read.
struct Server {
    tls: Tls,
    pending: Vec<u8>,
    out: Vec<u8>,
    plain: Vec<u8>,
    eof: bool,
}

impl Server {
    fn new() -> Self {
        Self {
            tls: Tls::new(server_config()).unwrap(),
            pending: Vec::new(),
            out: Vec::new(),
            plain: Vec::new(),
            eof: false,
        }
    }

    fn input(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        self.pending.extend(bytes);
        let mut plain = vec![0; self.pending.len()];
        let received = self
            .tls
            .receive(&mut self.pending, &mut plain, &mut self.out)?;
        self.pending.drain(..received.used);
        self.plain.extend(&plain[..received.plain]);
        self.eof |= received.eof;
        Ok(())
    }

    fn write(&mut self, plain: &[u8]) {
        let records = plain.len().div_ceil(RECORD_PLAINTEXT_BYTES_MAX).max(1);
        let mut room = vec![0; plain.len() + records * RECORD_OVERHEAD_BYTES_MAX];
        let len = self
            .tls
            .encrypt(&mut self.pending, plain, &mut room)
            .unwrap();
        self.out.extend(&room[..len]);
    }

    fn close(&mut self) {
        self.tls.close(&mut self.pending, &mut self.out);
    }

    fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// Exchanges bytes, in pieces of at most `piece`, until both are silent.
fn exchange(client: &mut TlsClient, server: &mut Server, piece: usize) {
    loop {
        let out = client.output();
        for piece in out.chunks(piece) {
            server.input(piece).unwrap();
        }
        let response = server.output();
        for piece in response.chunks(piece) {
            client.input(piece);
        }
        if out.is_empty() && response.is_empty() {
            return;
        }
    }
}

fn connected(versions: Versions<'_>) -> (TlsClient, Server) {
    let (mut client, mut server) = (TlsClient::new(versions), Server::new());
    exchange(&mut client, &mut server, usize::MAX);
    assert!(server.tls.is_established() && !client.is_handshaking());
    (client, server)
}

/// The alert a record without encryption holds.
fn plain_alert(out: &[u8]) -> (u8, u8) {
    match *out {
        [21, 3, _, 0, 2, level, description] => (level, description),
        _ => panic!("no single alert: {out:?}"),
    }
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    for versions in [[&TLS13], [&TLS12]] {
        let (mut client, mut server) = (TlsClient::new(&versions), Server::new());
        client.write(b"early words");
        exchange(&mut client, &mut server, 1);
        server.write(b"hello");
        exchange(&mut client, &mut server, 1);
        assert!(server.tls.is_established());
        assert_eq!(server.plain, b"early words");
        assert_eq!(client.plain, b"hello");
        assert_eq!(server.pending, b"");
    }
}

#[test]
fn many_records_in_one_buffer() {
    for versions in [[&TLS13], [&TLS12]] {
        let (mut client, mut server) = connected(&versions);
        let mut expected = Vec::new();
        for n in 0..200_u8 {
            client.write(&[n; 37]);
            expected.extend([n; 37]);
            // Taken one by one, so that each becomes a record.
            let record = client.output();
            server.pending.extend(record);
        }
        server.input(b"").unwrap();
        assert_eq!(server.plain, expected);
        assert_eq!(server.pending, b"");
    }
}

#[test]
fn long_plaintext_becomes_several_records() {
    let long: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut client, mut server) = connected(&[&TLS13]);
    server.write(&long);
    client.write(&long);
    exchange(&mut client, &mut server, 1_000);
    assert_eq!(client.plain, long);
    assert_eq!(server.plain, long);
}

#[test]
fn either_side_may_close_first() {
    for versions in [[&TLS13], [&TLS12]] {
        let (mut client, mut server) = connected(&versions);
        client.write(b"last question");
        client.close();
        exchange(&mut client, &mut server, usize::MAX);
        assert!(server.eof);
        assert_eq!(server.plain, b"last question");
        // RFC 8446 §6.1: the other direction is not ended by it.
        if versions == [&TLS13] {
            server.write(b"last answer");
        }
        server.close();
        let out = server.output();
        client.input(&out);
        assert!(client.closed);

        let (mut client, mut server) = connected(&versions);
        server.write(b"bye");
        server.close();
        let once = server.out.len();
        server.close();
        assert_eq!(server.out.len(), once, "close_notify went out twice");
        exchange(&mut client, &mut server, usize::MAX);
        assert!(client.closed);
        assert_eq!(client.plain, b"bye");
    }
}

#[test]
fn garbage_is_answered_with_an_alert() {
    let mut server = Server::new();
    let error = server
        .input(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap_err();
    assert!(matches!(error, TlsError::Protocol(_)), "{error:?}");
    assert_eq!(plain_alert(&server.out).0, 2);

    let (mut client, mut server) = connected(&[&TLS13]);
    client.write(b"one");
    let mut record = client.output();
    *record.last_mut().unwrap() ^= 1;
    server.input(&record).unwrap_err();
    let out = server.output();
    client.input(&out);
    let alert = rustls::AlertDescription::BadRecordMac;
    assert_eq!(client.error, Some(rustls::Error::AlertReceived(alert)));
}

#[test]
fn an_alert_follows_what_was_said_before_it() {
    for version in [&TLS13, &TLS12] {
        let mut config = Arc::unwrap_or_clone(server_config());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut server = Server::new();
        server.tls = Tls::new(Arc::new(config)).unwrap();
        let mut config = client_config(&[version]);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut client = TlsClient::with(Arc::new(config));
        server.input(&client.output()).unwrap_err();
        client.input(&server.output());
        let alert = rustls::AlertDescription::NoApplicationProtocol;
        assert_eq!(
            client.error,
            Some(rustls::Error::AlertReceived(alert)),
            "{version:?}"
        );
    }
}

/// Each of these made rustls panic when it was called again after refusing them.
#[test]
fn refused_handshake_messages_cost_their_connection_only() {
    let hello = TlsClient::new(&[&TLS13]).output();
    let record = |body: &[u8]| {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[22, 3, 1][..], &len, body].concat()
    };
    let mut cases = vec![
        record(&[1, 1, 0, 0]),
        record(&[1, 0xFF, 0xFF, 0xFF]),
        record(&[1, 0, 0, 0, 1]),
        record(&[1, 0, 0, 0, 1, 0, 0, 0]),
        record(&[20, 0, 0, 0, 20, 0, 0, 0]),
        record(&[&hello[5..], &[1, 0, 0, 0]].concat()),
        record(&[&hello[5..], &[1, 0, 0]].concat()),
        [record(&[1, 1, 0]), record(&[0])].concat(),
    ];
    for len in [256, 0x3FFF, 0x4000, 0x4100, 0x4101, 0x47FE, 0x47FF, 0xFFFF] {
        cases.push(record(
            &[&[1, 0xFF, 0xFF, 0xFF][..], &vec![0; len - 4]].concat(),
        ));
    }
    for case in cases {
        let rejected = Server::new().input(&case);
        assert!(
            matches!(rejected, Err(TlsError::Protocol(_))),
            "{rejected:?}: {case:x?}"
        );
        let mut server = Server::new();
        let verdicts = case.iter().map(|&byte| server.input(&[byte]));
        let panicked = verdicts.filter(|verdict| matches!(verdict, Err(TlsError::Panicked)));
        assert_eq!(panicked.count(), 0, "{case:x?}");
    }
}

/// A message in pieces is forgotten after an error.
#[test]
fn garbage_behind_a_piece_of_a_handshake_message() {
    let hello = TlsClient::new(&[&TLS13]).output();
    let piece = [&[22, 3, 1, 0, 40], &hello[5..45]].concat();
    for garbage in [
        &b"\x63\x03\x03\x00\x01x"[..],
        b"\x16\x03\x03\xff\xff",
        b"\x17\x03\x03\x00\x01x",
        b"\x15\x03\x03\x00\x02\x02\x00",
    ] {
        let mut server = Server::new();
        server.input(&[&piece, garbage].concat()).unwrap_err();

        let mut server = Server::new();
        server.input(&piece).unwrap();
        server.input(garbage).unwrap_err();

        let mut server = Server::new();
        for byte in [&piece, garbage].concat() {
            if server.input(&[byte]).is_err() {
                break;
            }
        }
    }
}

#[test]
fn a_handshake_message_may_come_in_many_records() {
    for piece in [1, 7, 40] {
        let (mut client, mut server) = (TlsClient::new(&[&TLS13]), Server::new());
        let hello = client.output();
        let mut records = Vec::new();
        for part in hello[5..].chunks(piece) {
            records.extend([22, 3, 1, 0, u8::try_from(part.len()).unwrap()]);
            records.extend(part);
        }
        server.input(&records).unwrap();
        exchange(&mut client, &mut server, usize::MAX);
        assert!(server.tls.is_established());
    }
}

#[test]
fn keys_change_in_the_middle_of_traffic() {
    let (mut client, mut server) = connected(&[&TLS13]);
    for round in 0..4_u8 {
        client.write(&[round; 100]);
        client.refresh_keys();
        client.write(&[round; 100]);
        let out = client.output();
        server.input(&out).unwrap();
        server.write(&[round; 50]);
        exchange(&mut client, &mut server, usize::MAX);
        assert_eq!(std::mem::take(&mut server.plain), [round; 200]);
        assert_eq!(std::mem::take(&mut client.plain), [round; 50]);
        assert_eq!(client.error, None);
    }
}

#[test]
fn nothing_is_encrypted_before_the_handshake() {
    let mut server = Server::new();
    let mut room = [0; 100];
    assert_eq!(
        server.tls.encrypt(&mut [], b"x", &mut room),
        Err(TlsError::NotEstablished)
    );
    let hello = TlsClient::new(&[&TLS12]).output();
    server.input(&hello).unwrap();
    assert!(!server.tls.is_established());
    assert_eq!(
        server.tls.encrypt(&mut [], b"x", &mut room),
        Err(TlsError::NotEstablished)
    );
}

#[test]
fn too_little_room_is_an_error() {
    let (_, mut server) = connected(&[&TLS13]);
    let mut room = [0; 20];
    assert_eq!(
        server.tls.encrypt(&mut [], b"xyz", &mut room),
        Err(TlsError::NoRoom)
    );
}

#[test]
fn sessions_resume_with_tickets() {
    for versions in [[&TLS13], [&TLS12]] {
        let mut config = client_config(&versions);
        config.resumption = Resumption::in_memory_sessions(4);
        let (config, secret) = (Arc::new(config), server_config());
        let kinds = [HandshakeKind::Full, HandshakeKind::Resumed];
        for kind in kinds {
            let (mut client, mut server) = (TlsClient::with(Arc::clone(&config)), Server::new());
            server.tls = Tls::new(Arc::clone(&secret)).unwrap();
            exchange(&mut client, &mut server, usize::MAX);
            assert_eq!(client.conn.handshake_kind(), Some(kind));
            server.write(b"x");
            exchange(&mut client, &mut server, usize::MAX);
            assert_eq!(client.plain, b"x");
        }
    }
}

/// Whatever happens inside rustls ends a connection and nothing else.
#[test]
fn a_panic_in_there_is_an_error() {
    let mut tls = Tls::new(server_config()).unwrap();
    let panicked = tls.guarded(|_| -> Result<(), TlsError> { panic!("as rustls might") });
    assert_eq!(panicked, Err(TlsError::Panicked));
    let (mut plain, mut out) = ([0; 64], Vec::new());
    let received = tls.receive(&mut [22, 3, 1, 0, 0], &mut plain, &mut out);
    assert_eq!(received, Err(TlsError::Over));
    assert_eq!(tls.encrypt(&mut [], b"x", &mut plain), Err(TlsError::Over));
    tls.close(&mut [], &mut out);
    assert!(out.is_empty());
}

/// A record with a piece of a handshake message.
fn handshake_record(piece: &[u8]) -> Vec<u8> {
    let len = u16::try_from(piece.len()).unwrap().to_be_bytes();
    [&[22, 3, 1][..], &len, piece].concat()
}

const DECODE_ERROR: (u8, u8) = (2, 50);

#[test]
fn a_client_hello_is_refused_as_soon_as_it_says_that_it_is_too_long() {
    let begin = |bytes: usize| {
        let [_, a, b, c] = u32::try_from(bytes).unwrap().to_be_bytes();
        handshake_record(&[1, a, b, c, 3, 3])
    };
    for piece in [usize::MAX, 1] {
        for (bytes, is_rejected) in [(HELLO_BYTES_MAX, false), (HELLO_BYTES_MAX + 1, true)] {
            let mut server = Server::new();
            let begin = begin(bytes);
            let mut pieces = begin.chunks(piece.min(begin.len()));
            let rejected = pieces.any(|piece| server.input(piece).is_err());
            assert_eq!(rejected, is_rejected, "{bytes} in pieces of {piece}");
            if is_rejected {
                assert_eq!(plain_alert(&server.out), DECODE_ERROR);
                assert_eq!(server.input(b""), Err(TlsError::Over));
            } else {
                assert_eq!(server.out, b"");
            }
        }
    }
}

/// However it is cut up, no more than so much of it ever waits.
#[test]
fn what_waits_of_a_handshake_is_bounded() {
    for (first, piece) in [(1, 1), (3, 1), (3, 2_000), (4, 50)] {
        let mut server = Server::new();
        // Nearly as long as it may be, so that only how it comes is wrong; or unknown for now.
        let mut message = vec![0; HELLO_BYTES_MAX];
        message[..4].copy_from_slice(&[1, 0, 0x47, 0xF0]);
        let (begin, rest) = message.split_at(first);
        server.input(&handshake_record(begin)).unwrap();
        let mut most = 0;
        let verdict = rest.chunks(piece).try_for_each(|piece| {
            let verdict = server.input(&handshake_record(piece));
            if verdict.is_ok() {
                most = most.max(server.pending.len());
            }
            verdict
        });
        assert!(
            verdict.is_err(),
            "{first} {piece}: zeros are no ClientHello"
        );
        assert!(most <= PENDING_BYTES_MAX, "{most} bytes wait");
        assert_eq!(plain_alert(&server.out).0, 2);
    }
}

#[test]
fn a_long_client_hello_is_served() {
    let mut config = client_config(&[&TLS13, &TLS12]);
    config.alpn_protocols = (0..60_u8).map(|n| vec![n; 255]).collect();
    for piece in [usize::MAX, 1_000] {
        let (mut client, mut server) = (TlsClient::with(Arc::new(config.clone())), Server::new());
        let hello = client.output();
        assert!((15_000..HELLO_BYTES_MAX).contains(&hello.len()));
        for piece in hello.chunks(piece) {
            server.input(piece).unwrap();
        }
        exchange(&mut client, &mut server, usize::MAX);
        assert!(server.tls.is_established());
    }
}

#[test]
fn later_messages_are_bounded_too() {
    let (mut client, mut server) = (TlsClient::new(&[&TLS12]), Server::new());
    server.input(&client.output()).unwrap();
    assert!(!server.tls.is_established() && !server.output().is_empty());
    let mut piece = vec![0; 16_000];
    piece[..4].copy_from_slice(&[16, 0, 0xFF, 0xF0]);
    server.input(&handshake_record(&piece)).unwrap();
    let rejected = server.input(&handshake_record(&piece)).unwrap_err();
    assert!(matches!(rejected, TlsError::Protocol(_)), "{rejected:?}");
}
