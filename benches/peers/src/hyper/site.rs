//! What is where.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fastwebsockets::upgrade;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::Failure;
use crate::files::{Body, Files};
use crate::room::Room;
use crate::sockets;

/// All that is served.
pub(crate) struct Site {
    files: Files,
    room: Arc<Room>,
}

impl Site {
    pub(crate) fn new(public: &Path) -> io::Result<Self> {
        Ok(Self {
            files: Files::new(public)?,
            room: Arc::default(),
        })
    }

    pub(crate) async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        match request.uri().path() {
            "/" => {
                let mut answer = text(StatusCode::OK, "Hello, world\n");
                let kind = HeaderValue::from_static("text/plain; charset=utf-8");
                answer.headers_mut().insert(CONTENT_TYPE, kind);
                Ok(answer)
            }
            path @ ("/echo" | "/room") if upgrade::is_upgrade_request(&request) => {
                let is_room = path == "/room";
                let (answer, socket) = upgrade::upgrade(&mut request)?;
                if is_room {
                    tokio::spawn(Arc::clone(&self.room).join(socket));
                } else {
                    tokio::spawn(sockets::echo(socket));
                }
                Ok(answer.map(|_| Either::Left(Full::default())))
            }
            "/echo-tungstenite" if upgrade::is_upgrade_request(&request) => {
                let answer = create_response_with_body(&request, || Either::Left(Full::default()))?;
                tokio::spawn(sockets::echo_tungstenite(hyper::upgrade::on(request)));
                Ok(answer)
            }
            path => match self.files.answer(path).await {
                Some(answer) => Ok(answer?),
                None => Ok(text(StatusCode::NOT_FOUND, "there is no such thing\n")),
            },
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let body = Either::Left(Full::new(Bytes::from_static(text.as_bytes())));
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}
