//! Sends every byte back: `cargo run --example raw_echo -- 127.0.0.1:7000`

use std::error::Error;

use edgeloop::reactor::{Cx, Endpoint, Handler, Reactor, ReactorConfig, Security};

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Mail = ();

    fn open(&mut self, _: &mut Cx<'_>, _: Endpoint) -> Option<()> {
        Some(())
    }

    fn data(&mut self, cx: &mut Cx<'_>, _: &mut (), input: &mut [u8]) -> usize {
        cx.write(input);
        input.len()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:7000".into());
    let mut reactor = Reactor::new(ReactorConfig::default(), Echo)?;
    let (_, address) = reactor.listen(address.parse()?, Security::Plain)?;
    eprintln!("echoing on {address}");
    Ok(reactor.run()?)
}
