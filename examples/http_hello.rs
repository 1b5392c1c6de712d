//! Says hello over plain HTTP: `cargo run --release --example http_hello -- 127.0.0.1:8080`

use std::error::Error;

use edgeloop::web::{self, Cx, Method, Reply, Request, Response, Security, Service};

struct Hello;

impl Service for Hello {
    type Socket = ();
    type Mail = ();

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        Reply::Send(match (request.method(), request.path()) {
            (Method::Get | Method::Head, "/") => Response::text(200, "Hello, world\n"),
            (_, "/") => Response::empty(405).field("Allow", "GET, HEAD"),
            _ => Response::text(404, "there is only /\n"),
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".into());
    let mut reactor = web::reactor(web::ReactorConfig::default(), |_| Hello)?;
    let (_, address) = reactor.listen(address.parse()?, Security::Plain)?;
    eprintln!("hello on http://{address}/");
    Ok(reactor.run()?)
}
