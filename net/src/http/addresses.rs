//! Which addresses a client may connect to (`security.md` section 4.4).

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

use crate::limits::IpPrefix;

/// Which addresses a client may connect to.
#[derive(Debug, Clone, Default)]
pub enum AddressPolicy {
    /// All: for targets the operator wrote.
    #[default]
    Any,
    /// For targets that come from answers of others (discovery, key sets, redirects): neither this machine nor
    /// link-local addresses, where clouds keep their metadata services, unless listed here. With a list, only
    /// what it holds.
    Guarded(Vec<IpPrefix>),
}

impl AddressPolicy {
    /// Whether `address` may be dialled.
    pub fn allows(&self, address: IpAddr) -> bool {
        let AddressPolicy::Guarded(allowed) = self else { return true };
        if !allowed.is_empty() {
            return allowed.iter().any(|prefix| prefix.contains(address));
        }
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                !(v4.is_loopback()
                    || v4.is_link_local()
                    || v4.is_unspecified()
                    || v4.is_multicast()
                    || v4.is_broadcast())
            }
            IpAddr::V6(v6) => {
                let metadata = v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254];
                !(v6.is_loopback()
                    || v6.is_unicast_link_local()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || metadata)
            }
        }
    }
}

/// Resolves names to the addresses that may be dialled. The connection goes to an address that was checked, not to
/// the name again.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    pub(super) policy: Arc<AddressPolicy>,
    pub(super) system: GaiResolver,
}

type Resolving = Pin<Box<dyn Future<Output = io::Result<std::vec::IntoIter<SocketAddr>>> + Send>>;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Resolving;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        let resolving = self.system.call(name);
        Box::pin(async move {
            let allowed: Vec<_> = resolving.await?.filter(|address| policy.allows(address.ip())).collect();
            if allowed.is_empty() { Err(refused()) } else { Ok(allowed.into_iter()) }
        })
    }
}

/// The error of an address that may not be dialled.
pub(super) fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "address is not allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guarded_addresses_are_neither_local_nor_of_metadata_services() {
        let guarded = AddressPolicy::Guarded(Vec::new());
        let denied = [
            "127.0.0.1",
            "127.255.255.255",
            "0.0.0.0",
            "169.254.169.254",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ];
        for address in denied {
            let address: IpAddr = address.parse().unwrap();
            assert!(!guarded.allows(address), "{address}");
            assert!(AddressPolicy::Any.allows(address));
        }
        for address in ["10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd00:ec2::253"] {
            assert!(guarded.allows(address.parse().unwrap()), "{address}");
        }
        let listed = AddressPolicy::Guarded(vec!["127.0.0.0/8".parse().unwrap()]);
        assert!(listed.allows("127.0.0.1".parse().unwrap()));
        assert!(!listed.allows("8.8.8.8".parse().unwrap()));
    }
}
