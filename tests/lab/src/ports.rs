//! Loopback ports that no other lab on this machine will choose.
//!
//! A port is claimed by binding the UDP port of the same number and holding it: the kernel makes that
//! exclusive between processes, and gives it back when the process dies, however it dies. The server then
//! binds the TCP port. The range lies below Linux's ephemeral ports (32768 and up), so an outgoing connection
//! never takes one.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::error::{LabError, Result};

const RANGE: Range<u16> = 21_000..32_000;

/// A loopback TCP port that is ours for as long as this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    claim: UdpSocket,
}

impl Port {
    /// Claims a free port.
    pub fn claim() -> Result<Port> {
        (0..RANGE.len()).find_map(|_| Port::try_claim(next_candidate())).ok_or_else(|| {
            LabError::configuration(
                format!("127.0.0.1:{}-{}", RANGE.start, RANGE.end),
                "every port is taken; stop some servers",
            )
        })
    }

    /// The number to write into a configuration.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The UDP socket that claims it, for a server that speaks UDP.
    pub(crate) fn claim_socket(&self) -> &UdpSocket {
        &self.claim
    }

    fn try_claim(number: u16) -> Option<Port> {
        let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        // The claim keeps other labs away; only this shows whether a foreign server already listens.
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Port { number, claim })
    }
}

/// Walks the range from a place that differs between processes, so that they seldom try the same port.
fn next_candidate() -> u16 {
    static WALKED: AtomicU16 = AtomicU16::new(0);
    const STRIDE: u32 = 97;
    let width = u32::from(RANGE.end - RANGE.start);
    let offset = std::process::id().wrapping_mul(STRIDE) % width;
    let step = u32::from(WALKED.fetch_add(1, Ordering::Relaxed));
    RANGE.start + u16::try_from((offset + step) % width).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_claimed_port_is_not_given_twice_and_can_be_listened_on() {
        let ports: Vec<Port> = (0..50).map(|_| Port::claim().unwrap()).collect();
        let numbers: HashSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), ports.len());
        TcpListener::bind((Ipv4Addr::LOCALHOST, ports[0].number())).unwrap();
        assert!(Port::try_claim(ports[0].number()).is_none());
    }

    #[test]
    fn a_port_with_a_foreign_listener_is_passed_over() {
        let number = Port::claim().unwrap().number();
        let _foreign = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        assert!(Port::try_claim(number).is_none());
    }
}
