//! Answers from another thread, so that slow work holds nobody up:
//! `cargo run --example worker -- 127.0.0.1:8082`, then `curl 'http://127.0.0.1:8082/?2305843009213693951'`.

use std::error::Error;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use edgeloop::web::{
    self, Cx, ExchangeId, ReactorConfig, Reply, Request, Response, Security, Service,
    ServiceSender, To,
};

struct Primes {
    jobs: SyncSender<(u64, ExchangeId)>,
}

impl Primes {
    fn start(post: ServiceSender<String>) -> Self {
        let (jobs, queue) = mpsc::sync_channel::<(u64, ExchangeId)>(16);
        thread::spawn(move || {
            for (number, exchange) in queue {
                let factor = (2..number).find(|&f| f * f > number || number.is_multiple_of(f));
                let is_prime = factor.is_none_or(|f| f * f > number);
                post.to_exchange(exchange, format!("{number} is prime: {is_prime}\n"))
                    .ok();
            }
        });
        Self { jobs }
    }
}

impl Service for Primes {
    type Socket = ();
    type Mail = String;

    fn request(&mut self, _: &mut Cx<'_>, request: &Request<'_>) -> Reply<()> {
        let Some(number) = request.query().and_then(|query| query.parse().ok()) else {
            return Reply::Send(Response::text(400, "ask for a number: /?91\n"));
        };
        match self.jobs.try_send((number, request.exchange())) {
            Ok(()) => Reply::Later,
            Err(_) => Reply::Send(Response::text(503, "busy\n").field("Retry-After", "1")),
        }
    }

    fn mail(&mut self, to: To<'_, '_, '_, ()>, text: String) {
        if let To::Exchange(_, responder) = to {
            responder.reply(Response::text(200, text));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8082".into());
    let mut reactor = web::reactor(ReactorConfig::default(), Primes::start)?;
    let (_, address) = reactor.listen(address.parse()?, Security::Plain)?;
    eprintln!("primes on http://{address}/");
    Ok(reactor.run()?)
}
