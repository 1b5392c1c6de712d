use super::*;

/// Number of requests come at once.
const REQUESTS: usize = 10_000;

#[test]
fn ten_thousand_requests_are_answered_in_order_whatever_order_that_takes() {
    for is_secure in [false, true] {
        let mut world = usual();
        let mut client = if is_secure {
            secure(&mut world)
        } else {
            plain(&mut world)
        };
        client.peer.set_capacity(5_000);
        let mut rng = Rng::new(7);
        let mut wanted = Vec::new();
        for number in 0..REQUESTS {
            // Some are answered at once: they have to wait for those that are not.
            let (kind, text) = match number % 3 {
                0 => ("now", format!("GET {number}")),
                _ => ("later", format!("later {number} 0")),
            };
            let request = format!("GET /{kind}/{number} HTTP/1.1\r\nHost: a\r\n\r\n");
            client.write(request.as_bytes());
            wanted.push(text);
        }
        let mut got = Vec::new();
        while got.len() < REQUESTS {
            let waiting = site(&mut world).later.len();
            assert!(waiting <= WebConfig::DEFAULT.pipeline_max, "{waiting} wait");
            respond_later(&mut world, Some(&mut rng));
            run(&mut world, &mut [&mut client]);
            let before = got.len();
            while let Some(response) = read_response(&mut client.received, false) {
                got.push(String::from_utf8(response.body).unwrap());
            }
            assert!(got.len() > before, "stuck after {before}");
        }
        assert!(got == wanted, "out of order");
        client.finish();
        run(&mut world, &mut [&mut client]);
        assert_empty(&mut world);
    }
}
