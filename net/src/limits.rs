//! Listener limits and their defaults (`security.md` section 5, windows by `transport.md`).

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// Limits of one listener. Every field bounds something a peer could otherwise make grow or last.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Connections in total; one more is closed before TLS.
    pub connections: usize,
    /// Connections of one source address; one more is closed before TLS.
    pub connections_per_ip: usize,
    /// Sources to which the limit per address does not apply.
    pub trusted_proxies: Vec<IpPrefix>,
    /// Time for the TLS handshake, waiting for its turn included.
    pub handshake_timeout: Duration,
    /// TLS handshakes that are computed at one time. Who waits for its peer in between keeps no turn.
    pub concurrent_handshakes: usize,
    /// Time until the first byte of a new connection.
    pub first_byte_timeout: Duration,
    /// Time from the first byte of a request's headers to the last.
    pub header_timeout: Duration,
    /// Number of headers in a request.
    pub headers: usize,
    /// Bytes of headers in a request, start line included for HTTP/1.
    pub header_bytes: u32,
    /// Bytes of the request target.
    pub uri_bytes: usize,
    /// Time to receive a whole body.
    pub body_timeout: Duration,
    /// From this age on a body must arrive at `body_min_rate`.
    pub body_rate_after: Duration,
    /// Bytes a second, on average since the request began.
    pub body_min_rate: u64,
    /// Time a blocked write may last before the connection is cut.
    pub write_timeout: Duration,
    /// Bytes a second, on average since the write was blocked; with less it is blocked still.
    pub write_min_rate: u64,
    /// Time between two requests of an HTTP/1 connection.
    pub idle_timeout: Duration,
    /// Whether an HTTP/1 connection may carry more than one request.
    pub http1_keep_alive: bool,
    /// An HTTP/2 connection with no stream for so long is told to go away. `None`: never.
    pub http2_max_idle: Option<Duration>,
    /// Time between two HTTP/2 pings.
    pub ping_interval: Duration,
    /// Time to answer an HTTP/2 ping.
    pub ping_timeout: Duration,
    /// Age at which a connection is told to go away, ±10 %. `None`: never.
    pub max_age: Option<Duration>,
    /// Time after that until it is cut.
    pub age_grace: Duration,
    /// HTTP/2 streams open at one time.
    pub streams: u32,
    /// HTTP/2 frame size announced. Large frames let a message arrive in one piece, without a copy.
    pub frame_bytes: u32,
    /// HTTP/2 window of a stream.
    pub stream_window: u32,
    /// HTTP/2 window of a connection.
    pub connection_window: u32,
    /// HTTP/2 connections at one time that get these frames and windows. What is on its way is kept before any memory is
    /// promised for it.
    pub roomy: usize,
    /// The same of one source.
    pub roomy_per_ip: usize,
    /// The frame size of the others; they get twice of that as window of a stream, and four times of that for all.
    pub narrow_bytes: u32,
    /// HPACK table.
    pub header_table_bytes: u32,
    /// Streams reset by the peer before they were accepted.
    pub pending_accept_resets: usize,
    /// Streams reset here because of the peer's errors.
    pub local_error_resets: usize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        ListenerLimits {
            connections: 4096,
            connections_per_ip: 256,
            trusted_proxies: Vec::new(),
            handshake_timeout: Duration::from_secs(5),
            concurrent_handshakes: 64,
            first_byte_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(5),
            headers: 64,
            header_bytes: 16 << 10,
            uri_bytes: 4 << 10,
            body_timeout: Duration::from_secs(30),
            body_rate_after: Duration::from_secs(10),
            body_min_rate: 1 << 10,
            write_timeout: Duration::from_secs(30),
            write_min_rate: 1 << 10,
            idle_timeout: Duration::from_secs(60),
            http1_keep_alive: true,
            http2_max_idle: None,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            max_age: Some(Duration::from_secs(30 * 60)),
            age_grace: Duration::from_secs(30),
            streams: 100,
            frame_bytes: 1 << 20,
            roomy: 32,
            roomy_per_ip: 8,
            narrow_bytes: 64 << 10,
            stream_window: 4 << 20,
            connection_window: 16 << 20,
            header_table_bytes: 4 << 10,
            pending_accept_resets: 20,
            local_error_resets: 1024,
        }
    }
}

/// An address or a CIDR block, e.g. `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpPrefix {
    address: IpAddr,
    bits: u8,
}

impl IpPrefix {
    /// Whether `address` lies in the block. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for IpPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid address or CIDR block {text:?}");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(invalid()) } else { Ok(IpPrefix { address, bits }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_contain_what_they_should() {
        let cases = [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001::", true),
        ];
        for (prefix, address, expected) in cases {
            let prefix: IpPrefix = prefix.parse().unwrap();
            assert_eq!(prefix.contains(address.parse().unwrap()), expected, "{prefix:?} {address}");
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "1.2.3.4/x"] {
            assert!(bad.parse::<IpPrefix>().is_err(), "{bad}");
        }
    }
}
