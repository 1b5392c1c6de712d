//! One room: `cargo run --example chat_room -- 127.0.0.1:9002`, then `websocat ws://127.0.0.1:9002/`

use std::error::Error;

use edgeloop::web::{
    self, Cx, Exclude, Message, Reply, Request, Response, Security, Service, Topics,
    WebSocketClosed, WsCx,
};

#[derive(Default)]
struct Room {
    topics: Topics<&'static str>,
}

impl Room {
    fn tell_all(&mut self, cx: &mut Cx<'_>, text: &str) {
        let message = Message::Text(text);
        self.topics.publish(cx, [&"room"], message, Exclude::Nobody);
    }

    fn tell_how_many(&mut self, cx: &mut Cx<'_>) {
        let text = format!("* {} here", self.topics.subscribers(&"room"));
        self.tell_all(cx, &text);
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
        self.topics.subscribe(ws, "room");
        self.tell_how_many(ws.cx());
    }

    fn message(&mut self, ws: &mut WsCx<'_, '_>, _: &mut (), message: Message<'_>) {
        if let Message::Text(text) = message {
            self.tell_all(ws.cx(), text);
        }
    }

    fn closed(&mut self, cx: &mut Cx<'_>, _: (), _: &WebSocketClosed<'_>) {
        self.topics.remove(cx.id());
        self.tell_how_many(cx);
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
