//! TLS server connections, sans-IO: ciphertext in, plaintext out, and back.
//!
//! Built on rustls' unbuffered API, which keeps no buffers of its own between calls: records are
//! decrypted in the buffer they were read into (and then copied out once), and answers are
//! encrypted straight into the buffer they are written from. An idle connection holds its keys and
//! little else.

use crate::invariant::part_mut;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};
use rustls::{InvalidMessage, ServerConfig};

/// The most plaintext one record carries (RFC 8446 §5.1).
pub const RECORD_PLAINTEXT_BYTES_MAX: usize = 16 * 1024;

/// The most that encryption adds to one record: header, content type, and the largest of the
/// authentication tags and explicit nonces in use (RFC 8446 §5.2, RFC 5288 §3).
pub const RECORD_OVERHEAD_BYTES_MAX: usize = 64;

/// The longest ClientHello that is waited for, in bytes. Real ones have a few hundred to two thousand.
pub const HELLO_BYTES_MAX: usize = 18 * 1024;

/// The most ciphertext that [`Tls::receive`] leaves to be presented again, in bytes: the start of a record
/// (RFC 5246 §6.2.3), or of a handshake message in several records.
pub const PENDING_BYTES_MAX: usize = HELLO_BYTES_MAX + 256;

/// decode_error, fatal, in a record without encryption (RFC 8446 §6.2): a length is out of range.
const DECODE_ERROR_RECORD: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

/// The server side of one TLS connection.
pub struct Tls {
    conn: Box<UnbufferedServerConnection>,
    /// Something of the peer's has been used.
    begun: bool,
    /// Something was said to the peer: from there on it may expect records to be encrypted.
    responded: bool,
    established: bool,
    /// rustls has failed, or panicked: it is not to be called again.
    is_over: bool,
}

/// Result of [`Tls::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of ciphertext that are done with. The rest is the start of a record: it is to be
    /// presented again, in front of what arrives next.
    pub used: usize,
    /// Bytes of plaintext written.
    pub plain: usize,
    /// The peer sent close_notify: it will send nothing more (RFC 8446 §6.1).
    pub eof: bool,
}

/// Why a TLS connection cannot go on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TlsError {
    /// The handshake failed or a record did not decrypt. The alert for the peer, where the error has
    /// one, was written.
    Protocol(rustls::Error),
    /// The keys have encrypted as much as they may (RFC 8446 §5.5).
    KeysExhausted,
    /// The handshake is not complete: nothing can be encrypted yet.
    NotEstablished,
    /// The room given was too small for what had to be written.
    NoRoom,
    /// The connection has failed before.
    Over,
    /// rustls has panicked on what the peer sent.
    Panicked,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => write!(f, "{error}"),
            Self::KeysExhausted => f.write_str("the traffic keys are used up"),
            Self::NotEstablished => f.write_str("the handshake is not complete"),
            Self::NoRoom => f.write_str("no room for the TLS output"),
            Self::Over => f.write_str("the connection has failed before"),
            Self::Panicked => f.write_str("the TLS library failed on what the peer sent"),
        }
    }
}

impl std::error::Error for TlsError {}

impl Tls {
    /// Starts the server side of a handshake.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        let conn = UnbufferedServerConnection::new(config).map_err(TlsError::Protocol)?;
        Ok(Self {
            conn: Box::new(conn),
            begun: false,
            responded: false,
            established: false,
            is_over: false,
        })
    }

    /// Returns `true` if anything that came was a record of the peer's.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Returns `true` if the handshake is complete and [`encrypt`](Self::encrypt) can be used.
    pub fn is_established(&self) -> bool {
        self.established
    }

    /// Processes the whole records at the front of `cipher`.
    ///
    /// Plaintext is written to the front of `plain`, which must have room for as many bytes as
    /// `cipher` has. What TLS itself has to answer (handshake, alerts, key updates) is appended
    /// to `out`, in the order it has to be sent; it comes before anything encrypted later.
    ///
    /// At most [`PENDING_BYTES_MAX`] are left over. A ClientHello over [`HELLO_BYTES_MAX`] is refused as soon
    /// as it says how long it will be.
    ///
    /// # Errors
    /// The connection is over; what was appended to `out` should still be sent.
    pub fn receive(
        &mut self,
        cipher: &mut [u8],
        plain: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        self.guarded(|tls| tls.process(cipher, plain, out))
    }

    /// Runs a step that hands a peer's bytes to rustls, and takes a panic in there for an error.
    ///
    /// Its unbuffered API keeps places in a buffer it does not own, and has been seen to index out
    /// of range on bytes that anybody can send. Those we know of are avoided; the next one is to
    /// cost its connection, not the server.
    fn guarded<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, TlsError>,
    ) -> Result<T, TlsError> {
        if self.is_over {
            return Err(TlsError::Over);
        }
        catch_unwind(AssertUnwindSafe(|| step(self))).unwrap_or_else(|_| {
            self.is_over = true;
            Err(TlsError::Panicked)
        })
    }

    fn process(
        &mut self,
        cipher: &mut [u8],
        plain: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        let mut received = Received {
            used: 0,
            plain: 0,
            eof: false,
        };
        if !self.begun && hello_bytes(cipher) > HELLO_BYTES_MAX {
            return Err(self.reject_length(out));
        }
        loop {
            let records = part_mut(cipher, received.used..);
            let UnbufferedStatus { discard, state } = self.conn.process_tls_records(records);
            received.used += discard;
            self.begun |= received.used > 0;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(TlsError::Protocol)?;
                        let end = received.plain + record.payload.len();
                        let room = plain.get_mut(received.plain..end).ok_or(TlsError::NoRoom)?;
                        room.copy_from_slice(record.payload);
                        received.plain = end;
                        received.used += record.discard;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, out);
                    self.responded = true;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => received.eof = true,
                Ok(ConnectionState::Closed) => {
                    received.eof = true;
                    return Ok(received);
                }
                // More is needed: `WriteTraffic` or `BlockedHandshake`. Early data is never offered
                // by our tickets (RFC 8446 §4.2.10).
                Ok(_) => {
                    self.established = !self.conn.is_handshaking();
                    let is_long = cipher.len() > PENDING_BYTES_MAX;
                    if is_long && cipher.len() - received.used > PENDING_BYTES_MAX {
                        return Err(self.reject_length(out));
                    }
                    return Ok(received);
                }
                Err(error) => {
                    self.write_alert(part_mut(cipher, received.used..), out);
                    return Err(TlsError::Protocol(error));
                }
            }
        }
    }

    /// Encrypts `plain` into the front of `room`, and returns how many bytes that took.
    ///
    /// `pending` is the ciphertext that [`receive`](Self::receive) has left: a handshake message
    /// that comes in several records is remembered by its place in there.
    ///
    /// `room` needs [`RECORD_OVERHEAD_BYTES_MAX`] beyond each started
    /// [`RECORD_PLAINTEXT_BYTES_MAX`] of plaintext.
    ///
    /// # Errors
    /// The handshake is not complete, `room` is too small, or the keys are used up.
    pub fn encrypt(
        &mut self,
        pending: &mut [u8],
        plain: &[u8],
        room: &mut [u8],
    ) -> Result<usize, TlsError> {
        self.guarded(|tls| tls.seal(pending, plain, room))
    }

    fn seal(
        &mut self,
        pending: &mut [u8],
        plain: &[u8],
        room: &mut [u8],
    ) -> Result<usize, TlsError> {
        let mut written = 0;
        loop {
            let free = room.get_mut(written..).ok_or(TlsError::NoRoom)?;
            match self.conn.process_tls_records(pending).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return match traffic.encrypt(plain, free) {
                        Ok(count) => Ok(written + count),
                        Err(EncryptError::InsufficientSize(_)) => Err(TlsError::NoRoom),
                        Err(EncryptError::EncryptExhausted) => Err(TlsError::KeysExhausted),
                    };
                }
                // A key update goes out ahead of what the new keys encrypt.
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    written += data.encode(free).map_err(|_| TlsError::NoRoom)?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(_) => return Err(TlsError::NotEstablished),
                Err(error) => return Err(TlsError::Protocol(error)),
            }
        }
    }

    /// Appends a close_notify alert to `out`: nothing is encrypted after it (RFC 8446 §6.1).
    ///
    /// `pending` is what it is for [`encrypt`](Self::encrypt). The second time nothing is written.
    pub fn close(&mut self, pending: &mut [u8], out: &mut Vec<u8>) {
        // Where that fails there is nothing left to say.
        self.guarded(|tls| {
            tls.write_pending(pending, out);
            if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
                tls.conn.process_tls_records(pending).state
            {
                append(out, |room| match traffic.queue_close_notify(room) {
                    Err(EncryptError::InsufficientSize(size)) => Err(size.required_size),
                    written => Ok(written.unwrap_or(0)),
                });
            }
            Ok(())
        })
        .ok();
    }

    /// Is done with a peer whose handshake message is longer than any of ours has to be. What is encrypted
    /// already gets no alert: only rustls could encrypt it.
    #[cold]
    fn reject_length(&mut self, out: &mut Vec<u8>) -> TlsError {
        self.is_over = true;
        if !self.responded {
            out.extend_from_slice(&DECODE_ERROR_RECORD);
        }
        TlsError::Protocol(InvalidMessage::HandshakePayloadTooLarge.into())
    }

    /// Appends the alert that goes with an error, if one does, with what rustls had to say before
    /// it, and is done with rustls.
    ///
    /// It is asked for no more than it has: with nothing left to send it would look at `records`
    /// again, where it remembers places, also that of the culprit, and would panic.
    fn write_alert(&mut self, records: &mut [u8], out: &mut Vec<u8>) {
        self.is_over = true;
        while self.conn.wants_write() {
            match self.conn.process_tls_records(records).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
                _ => return,
            }
        }
    }

    /// Appends the alerts and handshake messages that wait inside rustls.
    fn write_pending(&mut self, pending: &mut [u8], out: &mut Vec<u8>) {
        loop {
            match self.conn.process_tls_records(pending).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => return,
            }
        }
    }
}

/// Declared length of the ClientHello that `records` begin with (RFC 8446 §4); 0 if there is none yet.
fn hello_bytes(records: &[u8]) -> usize {
    match *records {
        [22, _, _, high, low, 1, a, b, c, ..] if u16::from_be_bytes([high, low]) >= 4 => {
            u32::from_be_bytes([0, a, b, c]) as usize
        }
        _ => 0,
    }
}

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    append(out, |room| match data.encode(room) {
        Err(EncodeError::InsufficientSize(size)) => Err(size.required_size),
        written => Ok(written.unwrap_or(0)),
    });
}

/// Lets `write` fill room behind `out`; it says how much it needs when that was too little.
fn append(out: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, usize>) {
    let start = out.len();
    let mut written = 0;
    if let Err(needed) = write(&mut []) {
        out.resize(start + needed, 0);
        written = write(part_mut(out, start..)).unwrap_or(0);
    }
    out.truncate(start + written);
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("established", &self.established)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "tls")]
pub(crate) mod tests;
