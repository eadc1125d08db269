//! What the gate counts, as Prometheus would see it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const SILENCE: Duration = Duration::from_secs(10);

/// One reading of `/metrics`.
#[derive(Debug)]
pub struct Scrape {
    text: String,
}

impl Scrape {
    /// Asks the gate on a loopback port.
    ///
    /// # Errors
    /// When nobody answers, or not with the counters.
    pub fn take(port: u16) -> Result<Scrape> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("asking for metrics")?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context("reading metrics")?;
        ensure!(text.starts_with("HTTP/1.1 200"), "no metrics: {text}");
        Ok(Scrape { text })
    }

    /// The value of a series, written as it is shown: name, and labels if it has any. Zero when it is not there:
    /// a series with labels appears with its first event.
    #[must_use]
    pub fn value(&self, series: &str) -> u64 {
        let values = self.text.lines().filter_map(|line| line.rsplit_once(' '));
        values
            .filter(|(name, _)| *name == series)
            .find_map(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Everything that was shown.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let text = "# HELP a_total Things\na_total 3\na_total{rule=\"route\"} 4\nb 5\r\n".to_owned();
        let scrape = Scrape { text };
        assert_eq!(scrape.value("a_total"), 3);
        assert_eq!(scrape.value("a_total{rule=\"route\"}"), 4);
        assert_eq!(scrape.value("b"), 5);
        assert_eq!(scrape.value("a"), 0);
    }
}
