//! Whoever speaks something else to the milter port is closed quietly and counted; nobody else notices.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use mailwarden_e2e::{Listen, SOON, World, WorldOptions, letter};
use mailwarden_lab::wait::wait_for;

const OPS: &str = "ops@example.test";
const VENDOR: &str = "news@vendor.test";
const SCOPED: &str = "anything@saas.example.test";
const GARBAGE: &str = "mailwarden_gate_connections_garbage_total";
const ERRORS: &str = "mailwarden_gate_protocol_errors_total";
/// Version 6, actions and steps that every MTA offers.
const NEGOTIATION: [u8; 17] = [0, 0, 0, 13, b'O', 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff];

fn world() -> World {
    World::with(&WorldOptions { listen: Listen::Inet, ..WorldOptions::default() }).unwrap()
}

fn connect(world: &World) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, world.milter_port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Everything the gate says until it closes. A connection closed over unread bytes looks reset from here.
fn heard_until_closed(mut stream: TcpStream, what: &str) -> Vec<u8> {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Ok(_) => heard,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => heard,
        Err(error) => panic!("{what}: the gate did not close: {error}"),
    }
}

fn throw(world: &World, what: &str, bytes: &[u8]) {
    let mut stream = connect(world);
    // The gate may close before it has taken everything.
    let _ = stream.write_all(bytes);
    assert_eq!(heard_until_closed(stream, what), b"", "{what}: closed, but not quietly");
}

/// Xorshift: the same octets each time.
fn random_octets(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn kinds_of_garbage() -> Vec<(String, Vec<u8>)> {
    let mut kinds: Vec<(String, Vec<u8>)> = (1..=8)
        .map(|seed| (format!("random octets {seed}"), random_octets(seed, 400)))
        .filter(|(_, octets)| octets[..2] != [0, 0])
        .collect();
    let fixed: [(&str, &[u8]); 6] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: gate\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x00\x20\x01\x00\x00\x1c\x03\x03 0123456789abcdef01234567"),
        ("SMTP", b"EHLO scanner.test\r\nQUIT\r\n"),
        ("zero length", &[0, 0, 0, 0]),
        ("4 GiB", &[0xff, 0xff, 0xff, 0xff, b'O']),
        ("not a negotiation", &[0, 0, 0, 1, b'Q', 0, 0, 0, 1, b'Q']),
    ];
    kinds.extend(fixed.map(|(what, bytes)| (what.to_owned(), bytes.to_vec())));
    kinds
}

#[test]
fn garbage_is_closed_quietly_and_counted_and_a_delivery_under_way_is_not_disturbed() {
    let world = world();
    let mut session = world.lab.smtp_from_outside().unwrap();
    assert!(session.mail(VENDOR).unwrap().is_ok());
    assert!(session.rcpt(SCOPED).unwrap().is_ok());

    let kinds = kinds_of_garbage();
    for (what, bytes) in &kinds {
        throw(&world, what, bytes);
    }
    let expected = kinds.len() as u64;
    let counted = wait_for(SOON, "the count", || world.metrics().unwrap().value(GARBAGE) >= expected);
    counted.unwrap_or_else(|error| panic!("{error}: {}", world.metrics().unwrap().text()));
    assert_eq!(world.metrics().unwrap().value(GARBAGE), expected);

    let reply = session.data(letter(VENDOR, "meanwhile")).unwrap();
    assert!(reply.is_ok(), "{reply:?}");
    world.arrives_once(OPS, "meanwhile").unwrap();
    assert!(world.gate().is_running());
    assert_eq!(world.metrics().unwrap().value("mailwarden_gate_panics_total"), 0);
    assert!(!world.gate().log().contains("panicked"), "{}", world.gate().log());
}

#[test]
fn half_a_frame_holds_nobody_up_and_ends_with_its_sender() {
    let world = world();
    let mut silent: Vec<TcpStream> = (0..20).map(|_| connect(&world)).collect();
    for (at, stream) in silent.iter_mut().enumerate() {
        stream.write_all(&NEGOTIATION[..1 + at % 16]).unwrap();
    }
    let sent = world.send_from_outside(VENDOR, &[SCOPED], letter(VENDOR, "past them")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    world.arrives_once(OPS, "past them").unwrap();
    for stream in silent {
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(heard_until_closed(stream, "half a frame"), b"");
    }
    let none_open = || world.metrics().unwrap().value("mailwarden_gate_connections_active") == 0;
    let closed = wait_for(SOON, "the end of every connection", none_open);
    closed.unwrap_or_else(|error| panic!("{error}: {}", world.metrics().unwrap().text()));
}

#[test]
fn garbage_after_a_good_beginning_is_closed_and_counted() {
    let world = world();
    for (what, bytes) in [
        ("zero length", &[0, 0, 0, 0][..]),
        ("4 GiB", &[0xff, 0xff, 0xff, 0xff]),
        ("a command nobody knows", &[0, 0, 0, 1, 0xfe]),
    ] {
        let mut stream = connect(&world);
        stream.write_all(&NEGOTIATION).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[4], b'O', "{what}: no negotiation");
        let before = world.metrics().unwrap().value(ERRORS);
        stream.write_all(bytes).unwrap();
        heard_until_closed(stream, what);
        let counted = wait_for(SOON, what, || world.metrics().unwrap().value(ERRORS) == before + 1);
        counted.unwrap_or_else(|error| panic!("{error}: {}", world.metrics().unwrap().text()));
    }
    let sent = world.send_from_outside(VENDOR, &[SCOPED], letter(VENDOR, "after it")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    world.arrives_once(OPS, "after it").unwrap();
}
