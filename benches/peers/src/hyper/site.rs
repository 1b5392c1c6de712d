//! Folders and files.

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

    pub(crate) async fn respond(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        match request.uri().path() {
            "/" => {
                let mut response = text(StatusCode::OK, "Hello, world\n");
                let kind = HeaderValue::from_static("text/plain; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                Ok(response)
            }
            path @ ("/echo" | "/room") if upgrade::is_upgrade_request(&request) => {
                let is_room = path == "/room";
                let (response, socket) = upgrade::upgrade(&mut request)?;
                if is_room {
                    tokio::spawn(Arc::clone(&self.room).join(socket));
                } else {
                    tokio::spawn(sockets::echo(socket));
                }
                Ok(response.map(|_| Either::Left(Full::default())))
            }
            "/echo-tungstenite" if upgrade::is_upgrade_request(&request) => {
                let response =
                    create_response_with_body(&request, || Either::Left(Full::default()))?;
                tokio::spawn(sockets::echo_tungstenite(hyper::upgrade::on(request)));
                Ok(response)
            }
            path => match self.files.respond(path).await {
                Some(response) => Ok(response?),
                None => Ok(text(StatusCode::NOT_FOUND, "there is no such thing\n")),
            },
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let body = Either::Left(Full::new(Bytes::from_static(text.as_bytes())));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
