use super::*;

/// Response to a plain HTTP request on a TLS listener, sent in pieces of this size.
fn asked_plainly(world: &mut World, request: &[u8], piece_bytes: usize) -> SimClient {
    let config = crate::proto::tls::tests::server_config();
    let mut client = SimClient::plain(world.accept(&Security::Tls(config)).unwrap());
    for piece in request.chunks(piece_bytes) {
        ask(world, &mut client, piece);
    }
    client
}

fn body(client: &mut SimClient, is_head: bool) -> String {
    let responded = read_response(&mut client.received, is_head).expect("an answer");
    assert_eq!((responded.status, responded.close), (400, true));
    assert_eq!(client.received, b"", "more than one answer");
    String::from_utf8(responded.body).unwrap()
}

#[test]
fn a_request_without_tls_is_told_where_to_go() {
    let cases = [
        (
            "GET / HTTP/1.1\r\nHost: localhost:8443\r\n\r\n",
            "https://localhost:8443/\n",
        ),
        (
            "GET /a?secret HTTP/1.1\r\nHost: [::1]\r\n\r\n",
            "https://[::1]/a\n",
        ),
        (
            "GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n",
            "https://b/c\n",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "https://a/\n"),
        ("GET / HTTP/1.0\r\n\r\n", "with https\n"),
        (
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n",
            "https://a/x\n",
        ),
        // Nothing of these is repeated.
        (
            "GET / HTTP/1.1\r\nHost: a\" onload=\r\n\r\n",
            "with https\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "with https\n",
        ),
        ("GET /<script> HTTP/1.1\r\nHost: a\r\n\r\n", "with https\n"),
        ("GET / HTTP/1.1\nHost: a\n\n", "with https\n"),
    ];
    for (request, wanted) in cases {
        for piece_bytes in [request.len(), 1] {
            let mut world = usual();
            let mut client = asked_plainly(&mut world, request.as_bytes(), piece_bytes);
            let text = body(&mut client, false);
            assert!(text.contains("this port speaks TLS"), "{text}");
            assert!(text.ends_with(wanted), "{text}");
            assert!(client.saw_orderly_end());
            let served = std::mem::take(&mut site(&mut world).served);
            assert_eq!(served.len(), 1);
            assert_eq!((served[0].1, served[0].2), (400, text.len() as u64));
            client.finish();
            run(&mut world, &mut [&mut client]);
            assert_empty(&mut world);
        }
    }
}

#[test]
fn a_head_request_without_tls_gets_a_head() {
    let mut world = usual();
    let head = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = asked_plainly(&mut world, head, head.len());
    assert_eq!(body(&mut client, true), "");
    assert!(client.saw_orderly_end());
}

#[test]
fn a_long_request_without_tls_is_not_waited_for() {
    let mut world = usual();
    let request = format!("GET /{} HTTP/1.1\r\n", "x".repeat(20_000));
    let mut client = asked_plainly(&mut world, request.as_bytes(), 1_000);
    assert!(body(&mut client, false).ends_with("with https\n"));
    client.finish();
    run(&mut world, &mut [&mut client]);
    assert_empty(&mut world);
}

#[test]
fn text_that_is_no_request_gets_an_alert() {
    for text in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "get / HTTP/1.1\r\n\r\n",
        "EHLO\r\n",
    ] {
        let mut world = usual();
        let client = asked_plainly(&mut world, text.as_bytes(), text.len());
        assert_eq!(
            (client.received[0], client.received.len()),
            (21, 7),
            "{text}"
        );
        client.peer.shut();
        world.settle();
        assert_eq!(site(&mut world).served, []);
        assert_empty(&mut world);
    }
}
