//! One room: `cargo run --example chat_room -- 127.0.0.1:9002`, then `websocat ws://127.0.0.1:9002/`

use std::collections::HashSet;
use std::error::Error;

use edgeloop::web::{
    self, ConnId, Cx, Ended, Message, Reply, Request, Response, Security, Service, WsCx, frame,
};

#[derive(Default)]
struct Room {
    here: HashSet<ConnId>,
}

impl Room {
    fn tell_all(&self, cx: &mut Cx<'_>, text: &str) {
        let frame = frame(Message::Text(text));
        for &id in &self.here {
            cx.send(id, &frame);
        }
    }
}

impl Service for Room {
    type Socket = ();
    type Mail = ();

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        if request.wants_websocket() {
            return Reply::Upgrade(());
        }
        Reply::Send(Response::text(426, "this is a WebSocket\n"))
    }

    fn opened(&mut self, ws: &mut WsCx<'_, '_>, _: &mut ()) {
        self.here.insert(ws.id());
        self.tell_all(ws.cx(), &format!("* {} here", self.here.len()));
    }

    fn message(&mut self, ws: &mut WsCx<'_, '_>, _: &mut (), message: Message<'_>) {
        if let Message::Text(text) = message {
            self.tell_all(ws.cx(), text);
        }
    }

    fn closed(&mut self, cx: &mut Cx<'_>, _: (), _: &Ended<'_>) {
        self.here.remove(&cx.id());
        self.tell_all(cx, &format!("* {} here", self.here.len()));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9002".into());
    let mut reactor = web::reactor(web::ReactorConfig::default(), |_| Room::default())?;
    let (_, address) = reactor.listen(address.parse()?, Security::Plain)?;
    eprintln!("chatting on ws://{address}/");
    Ok(reactor.run()?)
}
