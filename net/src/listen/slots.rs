use std::collections::HashMap;
use std::hash::RandomState;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::ListenerLimits;

/// Counts open connections, in total and by source.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    // Bounded by `total`: a source is forgotten with its last connection. Randomly seeded: keys come from peers.
    by_ip: HashMap<IpAddr, usize, RandomState>,
}

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    pub(crate) total: usize,
    pub(crate) of_one_source: usize,
}

/// Why a connection was not let in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Total,
    PerIp,
}

/// The right to one connection, or to whatever else of one is scarce.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    /// `None` for sources that are not counted (trusted proxies, unix sockets).
    ip: Option<IpAddr>,
}

impl Slots {
    /// Takes one for a connection from `ip`. The cap of one source does not apply to trusted proxies.
    pub(crate) fn take(
        self: &Arc<Self>,
        ip: Option<IpAddr>,
        caps: Caps,
        limits: &ListenerLimits,
    ) -> Result<Slot, Full> {
        let ip = ip.map(|ip| ip.to_canonical());
        let counted = ip.filter(|ip| !limits.trusted_proxies.iter().any(|proxy| proxy.contains(*ip))).map(source);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= caps.total {
            return Err(Full::Total);
        }
        if let Some(ip) = counted {
            let own = open.by_ip.entry(ip).or_default();
            if *own >= caps.of_one_source {
                return Err(Full::PerIp);
            }
            *own += 1;
        }
        open.total += 1;
        Ok(Slot { slots: Arc::clone(self), ip: counted })
    }
}

/// What one sender has only one of: an address, or an IPv6 network of 64 bits.
fn source(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(ip) = self.ip
            && let Some(own) = open.by_ip.get_mut(&ip)
        {
            *own = own.saturating_sub(1);
            if *own == 0 {
                open.by_ip.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_by_source_and_in_total_and_come_back() {
        let slots = Arc::new(Slots::default());
        let limits =
            ListenerLimits { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..ListenerLimits::default() };
        let caps = Caps { total: 5, of_one_source: 2 };
        let take = |ip: &str| slots.take(Some(ip.parse().unwrap()), caps, &limits);
        let first = take("1.1.1.1").unwrap();
        let second = take("::ffff:1.1.1.1").unwrap();
        assert_eq!(take("1.1.1.1").unwrap_err(), Full::PerIp);
        {
            let _both = ["2001:db8::1", "2001:db8::ffff:2"].map(|ip| take(ip).unwrap());
            assert_eq!(take("2001:db8::3:3").unwrap_err(), Full::PerIp, "one network is one source");
            assert!(take("2001:db8:0:1::1").is_ok());
        }
        let proxies: Vec<_> = (0..3).map(|_| take("10.1.2.3").unwrap()).collect();
        assert_eq!(take("10.1.2.3").unwrap_err(), Full::Total);
        assert_eq!(take("2.2.2.2").unwrap_err(), Full::Total);
        drop(proxies);
        drop(first);
        assert!(take("1.1.1.1").is_ok());
        drop(second);
        assert_eq!(slots.open.lock().unwrap().total, 0);
        assert!(slots.open.lock().unwrap().by_ip.is_empty());
    }
}
