//! WebSocket clients that do not behave.

use serde_json::json;

use crate::http::{Connection, Response};
use crate::misbehaving_clients::Rude;
use crate::net::{Cut, passing_address, read_to_end, send_anyway};
use crate::socket::Socket;
use crate::tally::Failure;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
/// More than the server lets a user send in a minute.
const FLOOD: usize = 150;

fn upgrade(connection: &mut Connection, fields: &str) -> Result<Response, Failure> {
    connection.ask("GET /ws", &format!("{UPGRADE}{fields}"), "")
}

/// A connection upgraded for some user.
fn upgraded(rude: &mut Rude<'_>) -> Result<Connection, Failure> {
    let token = rude.random.pick(rude.users).map(|user| user.token.as_str());
    let token = token.ok_or("no users")?;
    let mut connection = rude.connect()?;
    let fields = format!("Authorization: Bearer {token}\r\n");
    upgrade(&mut connection, &fields)?.expect("the upgrade", 101)?;
    Ok(connection)
}

/// A frame with a mask, its first byte as given.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(small @ ..126), _) => frame.push(0x80 | small),
        (_, Ok(medium)) => {
            frame.push(0x80 | 126);
            frame.extend(medium.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    let mask = MASK.iter().cycle();
    frame.extend(payload.iter().zip(mask).map(|(byte, key)| byte ^ key));
    frame
}

pub(crate) fn leave_in_frame(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let mut connection = upgraded(rude)?;
    if rude.random.below(2) == 0 {
        connection.send(&masked(0x81, br#"{"type":"join"}"#))?;
    }
    let body = format!(r#"{{"type":"message","message":"{}"}}"#, "x".repeat(3_000));
    let frame = masked(0x81, body.as_bytes());
    let part = rude.part(&frame);
    connection.send(part)?;
    rude.abandon(connection.into_parts().0);
    Ok(())
}

/// Frames that break RFC 6455 get a Close with a reason, and the end.
pub(crate) fn garbage_frames(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let too_large = [&[0x82, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0][..], &MASK].concat();
    let not_minimal = [&[0x81, 0x80 | 126, 0, 5][..], &MASK, b"hello"].concat();
    let bad = [
        (b"\x81\x05hello".to_vec(), 1002),
        (masked(0xC1, b"hello"), 1002),
        (masked(0x83, b"hello"), 1002),
        (masked(0x8B, b"hello"), 1002),
        (masked(0x09, b"hello"), 1002),
        (masked(0x89, &[b'x'; 126]), 1002),
        (masked(0x80, b"hello"), 1002),
        (masked(0x88, &1005_u16.to_be_bytes()), 1002),
        (masked(0x88, b"x"), 1002),
        (masked(0x81, b"\xFF\xFE"), 1007),
        (masked(0x81, b"\xC3"), 1007),
        (masked(0x82, &vec![0; (1 << 20) + 1]), 1009),
        (too_large, 1009),
        (not_minimal, 1002),
    ];
    let connection = upgraded(rude)?;
    let Some((frame, wanted)) = rude.random.pick(&bad) else {
        return Ok(());
    };
    let (mut stream, received) = connection.into_parts();
    send_anyway(&mut stream, frame);
    let heard = [received, read_to_end(&mut stream)?].concat();
    match close_code(&heard) {
        Some(code) if code == *wanted => Ok(()),
        // The rest of a large frame that is refused at its head may bring a reset.
        None if *wanted == 1009 => Ok(()),
        other => {
            let begin: Vec<u8> = frame.iter().copied().take(40).collect();
            let begin = begin.escape_ascii();
            Err(format!("wanted Close {wanted} to \"{begin}\", got {other:?}").into())
        }
    }
}

/// The code of the Close that is the last of these frames.
fn close_code(mut frames: &[u8]) -> Option<u16> {
    loop {
        let (head, rest) = frames.split_at_checked(2)?;
        let (first, length) = (*head.first()?, usize::from(*head.last()?));
        let (length, rest) = if length == 126 {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        } else {
            (length, rest)
        };
        let (payload, rest) = rest.split_at_checked(length)?;
        if first == 0x88 && rest.is_empty() {
            return payload.first_chunk().copied().map(u16::from_be_bytes);
        }
        frames = rest;
    }
}

/// Upgrades that are not for those who ask.
pub(crate) fn rejected(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let token = rude.random.pick(rude.users).map(|user| user.token.clone());
    let bearer = format!(
        "Authorization: Bearer {}\r\n",
        token.ok_or("there are no users")?
    );
    let mut connection = rude.connect()?;
    upgrade(&mut connection, "")?.expect("no token", 401)?;
    upgrade(&mut connection, "Authorization: Bearer a.b.c\r\n")?.expect("a bad token", 401)?;
    let elsewhere = format!("{bearer}Origin: https://elsewhere.example\r\n");
    upgrade(&mut connection, &elsewhere)?.expect("another origin", 403)?;
    let response = connection.ask("GET /ws", &bearer, "")?;
    response.expect("no upgrade", 426).map(drop)
}

/// Joins, and then does not listen any more, or talks too much, which is refused.
pub(crate) fn bad_member(rude: &mut Rude<'_>) -> Result<(), Failure> {
    let from = passing_address(&mut rude.random);
    let Some(user) = rude.random.pick(rude.users) else {
        return Ok(());
    };
    let mut socket = Socket::open(rude.target, from, user, &mut rude.random)?;
    socket.join()?;
    if rude.random.below(10) > 0 {
        rude.hold(socket.into_tcp());
        return Ok(());
    }
    for number in 0..FLOOD {
        socket.send(&json!({"type": "message", "message": format!("flood {number}")}))?;
    }
    socket.send(&json!({"type": "no-such-type", "id": "probe"}))?;
    let mut is_limited = false;
    loop {
        let heard = socket.hear_now()?;
        is_limited |= heard.contains("\"rate_limited\"");
        if heard.contains("\"probe\"") {
            break;
        }
    }
    socket.cut(Cut::any(&mut rude.random));
    if is_limited {
        Ok(())
    } else {
        Err(format!("wanted rate_limited after {FLOOD} messages, got none").into())
    }
}
