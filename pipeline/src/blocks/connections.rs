//! How many connections a listener keeps. Upstream has no bound.

use sluice_config::Problems;
use sluice_net::{IpPrefix, ListenerLimits};

use crate::factory::field;

/// What a server block says of connections, under the same names in all of them. Zero means our default, never unlimited
/// (security §5).
pub(super) struct Connections<'a> {
    /// `max_connections`: in all.
    pub(super) most: u32,
    /// `max_connections_per_ip`: of one address, or IPv6 network of 64 bits.
    pub(super) per_ip: u32,
    /// `trusted_proxies`: addresses and CIDR blocks that may have as many as there are.
    pub(super) proxies: &'a [String],
}

impl Connections<'_> {
    pub(super) fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.most > 0 && self.per_ip > self.most {
            let text = format!("max_connections_per_ip must not be over max_connections ({})", self.most);
            problems.error(&field(at, "max_connections_per_ip"), text);
        }
        for (index, proxy) in self.proxies.iter().enumerate() {
            if let Err(text) = proxy.parse::<IpPrefix>() {
                problems.add("E0106", &field(at, &format!("trusted_proxies::{index}")), &text).help =
                    Some("write an address, or a block such as 10.0.0.0/8".to_owned());
            }
        }
    }

    /// Sets what is written.
    pub(super) fn apply(&self, limits: &mut ListenerLimits) {
        let written = |number: u32, usual: usize| if number > 0 { number as usize } else { usual };
        limits.connections = written(self.most, limits.connections);
        limits.connections_per_ip = written(self.per_ip, limits.connections_per_ip);
        limits.trusted_proxies = self.proxies.iter().filter_map(|proxy| proxy.parse().ok()).collect();
    }
}
