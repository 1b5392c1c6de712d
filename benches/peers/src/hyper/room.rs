//! A room: whatever one sends goes to all others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fastwebsockets::upgrade::UpgradeFut;
use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError, WebSocketWrite,
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::WriteHalf;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Limit on messages that wait for one member; over it the member is removed.
const QUEUED_MAX: usize = 1024;
/// Bytes written before the socket is flushed.
const WRITTEN_AT_ONCE_MAX: usize = 64;

type Writer = WebSocketWrite<WriteHalf<TokioIo<Upgraded>>>;

#[derive(Clone)]
struct Message {
    opcode: OpCode,
    payload: Bytes,
}

#[derive(Default)]
struct Members {
    last_id: u64,
    queues: HashMap<u64, Sender<Message>>,
}

/// Members of the room.
#[derive(Default)]
pub(crate) struct Room(Mutex<Members>);

impl Room {
    /// Is a member with this socket until it closes.
    pub(crate) async fn join(self: Arc<Self>, socket: UpgradeFut) -> Result<(), WebSocketError> {
        let mut socket = socket.await?;
        socket.set_auto_close(false);
        socket.set_auto_pong(false);
        let (reader, writer) = socket.split(tokio::io::split);
        let mut reader = FragmentCollectorRead::new(reader);
        let (queue, queued) = channel(QUEUED_MAX);
        let id = self.enter(queue.clone());
        tokio::spawn(write(writer, queued));
        loop {
            // It answers nothing by itself: both are switched off above.
            let frame = reader
                .read_frame(&mut |_| std::future::ready(Ok::<_, WebSocketError>(())))
                .await;
            let Ok(frame) = frame else { break };
            let payload = Bytes::copy_from_slice(&frame.payload);
            match frame.opcode {
                opcode @ (OpCode::Text | OpCode::Binary) => {
                    self.publish(id, &Message { opcode, payload });
                }
                OpCode::Ping => {
                    let opcode = OpCode::Pong;
                    queue.try_send(Message { opcode, payload }).ok();
                }
                OpCode::Close => break,
                OpCode::Continuation | OpCode::Pong => {}
            }
        }
        self.leave(id);
        Ok(())
    }

    fn enter(&self, queue: Sender<Message>) -> u64 {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members.last_id += 1;
        let id = members.last_id;
        members.queues.insert(id, queue);
        id
    }

    fn leave(&self, id: u64) {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members.queues.remove(&id);
    }

    fn publish(&self, from: u64, message: &Message) {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members
            .queues
            .retain(|id, queue| *id == from || queue.try_send(message.clone()).is_ok());
    }
}

/// Writes what is queued until the member has gone.
async fn write(mut writer: Writer, mut queued: Receiver<Message>) -> Result<(), WebSocketError> {
    let mut messages = Vec::with_capacity(WRITTEN_AT_ONCE_MAX);
    while queued.recv_many(&mut messages, WRITTEN_AT_ONCE_MAX).await > 0 {
        for message in messages.drain(..) {
            let payload = Payload::Borrowed(&message.payload);
            let frame = Frame::new(true, message.opcode, None, payload);
            writer.write_frame(frame).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}
