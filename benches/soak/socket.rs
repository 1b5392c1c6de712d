//! A well-behaved WebSocket client.

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Bytes, Error, Message, WebSocket};

use crate::accounts::User;
use crate::net::{Cut, Target, Tls, is_timeout};
use crate::tally::{Failure, PATIENCE, Random, now};

/// A socket to the chat, its welcome heard.
pub(crate) struct Socket(WebSocket<Tls>);

impl Socket {
    pub(crate) fn open(
        target: &Target,
        from: Ipv4Addr,
        user: &User,
        random: &mut Random,
    ) -> Result<Self, Failure> {
        let mut request = format!("wss://{}/ws", target.host()).into_client_request()?;
        let bearer = format!("Bearer.{}", user.token).parse()?;
        let fields = request.headers_mut();
        fields.insert("Sec-WebSocket-Protocol", bearer);
        let stream = target.tls(from, random)?;
        let (socket, _) = tungstenite::client(request, stream)
            .map_err(|error| format!("{}: no upgrade: {error}", user.name))?;
        let mut socket = Self(socket);
        let welcome = socket.hear_now()?;
        if !welcome.contains("Welcome! You are client #") {
            return Err(format!("wanted the welcome, got {welcome}").into());
        }
        Ok(socket)
    }

    pub(crate) fn send(&mut self, message: &Value) -> Result<(), Failure> {
        let sent = self.0.send(Message::text(message.to_string()));
        sent.map_err(|error| format!("cannot send {message}: {error}").into())
    }

    /// Joins the chat; gives the list of who is online.
    pub(crate) fn join(&mut self) -> Result<String, Failure> {
        self.send(&json!({"type": "join"}))?;
        self.hear_now()
    }

    /// The next text, if one comes until then.
    pub(crate) fn hear(&mut self, until: Instant) -> Result<Option<String>, Failure> {
        loop {
            // Zero would mean no timeout; what has been received already is read in any case.
            let left = until.saturating_duration_since(now());
            let left = left.max(Duration::from_millis(1));
            self.0.get_ref().sock.set_read_timeout(Some(left))?;
            match self.0.read() {
                Ok(Message::Text(text)) => return Ok(Some(text.as_str().to_owned())),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => return Err(format!("wanted text, got {other:?}").into()),
                Err(Error::Io(error)) if is_timeout(&error) => return Ok(None),
                Err(error) => return Err(format!("wanted text, got: {error}").into()),
            }
        }
    }

    /// The next text, if it is here.
    pub(crate) fn hear_ready(&mut self) -> Result<Option<String>, Failure> {
        self.0.get_ref().sock.set_nonblocking(true)?;
        let heard = self.hear(now());
        self.0.get_ref().sock.set_nonblocking(false)?;
        heard
    }

    /// The next text, which has to come.
    pub(crate) fn hear_now(&mut self) -> Result<String, Failure> {
        let heard = self.hear(now() + PATIENCE)?;
        Ok(heard.ok_or_else(|| format!("nothing heard for {PATIENCE:?}"))?)
    }

    /// Sends a ping, and waits for its pong; for a socket that hears nothing else but pings.
    pub(crate) fn ping(&mut self, random: &mut Random) -> Result<(), Failure> {
        let wanted = Bytes::from(random.bytes(8));
        self.0.get_ref().sock.set_read_timeout(Some(PATIENCE))?;
        self.0.send(Message::Ping(wanted.clone()))?;
        loop {
            match self.0.read() {
                Ok(Message::Pong(pong)) if pong == wanted => return Ok(()),
                Ok(Message::Ping(_)) => {}
                Ok(other) => return Err(format!("wanted the pong, got {other:?}").into()),
                Err(error) => return Err(format!("no pong: {error}").into()),
            }
        }
    }

    /// Closes in order: a Close each way, then the end of the connection.
    pub(crate) fn close(mut self) -> Result<(), Failure> {
        self.0.get_ref().sock.set_read_timeout(Some(PATIENCE))?;
        self.0.close(None)?;
        loop {
            match self.0.read() {
                Ok(Message::Close(_) | Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => return Err(format!("wanted the Close, got {other:?}").into()),
                Err(Error::ConnectionClosed) => return Ok(()),
                Err(error) => return Err(format!("the Close is not answered: {error}").into()),
            }
        }
    }

    /// Ends without a Close.
    pub(crate) fn cut(self, cut: Cut) {
        cut.tls(self.0.into_inner());
    }

    /// The connection below TLS, for a client that neither reads nor writes any more.
    pub(crate) fn into_tcp(self) -> TcpStream {
        self.0.into_inner().sock
    }
}
