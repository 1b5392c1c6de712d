//! Echo, by two libraries.

use std::future;

use fastwebsockets::upgrade::UpgradeFut;
use fastwebsockets::{OpCode, WebSocketError};
use futures_util::{StreamExt, TryStreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::Failure;

/// By fastwebsockets, until the client closes. Flushed for each frame: TLS may hold the end of it otherwise.
pub(crate) async fn echo(socket: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = socket.await?;
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary | OpCode::Continuation => {
                socket.write_frame(frame).await?;
                socket.flush().await?;
            }
            OpCode::Ping | OpCode::Pong => {}
        }
    }
}

/// By tokio-tungstenite, as its own example does it: flushed when there is nothing more to read.
pub(crate) async fn echo_tungstenite(socket: OnUpgrade) -> Result<(), Failure> {
    let stream = TokioIo::new(socket.await?);
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let (writer, reader) = socket.split();
    reader
        .try_filter(|message| future::ready(message.is_text() || message.is_binary()))
        .forward(writer)
        .await?;
    Ok(())
}
