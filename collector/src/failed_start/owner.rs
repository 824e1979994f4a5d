//! Whose process listens on an address, as far as this process may look.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// State of a socket that listens, in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// `pid 4711 (otelcol)`.
pub fn of(address: SocketAddr) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let inode = tables.iter().find_map(|table| inode(table, address))?;
    let pid = holder(Path::new("/proc"), &format!("socket:[{inode}]"))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("pid {pid} ({})", name.trim()))
}

/// The inode of the socket that listens on the address, or on all addresses at its port.
fn inode(table: &str, wanted: SocketAddr) -> Option<&str> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let (ip, port) = local.split_once(':')?;
        let ip = address(ip)?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let here = port == wanted.port() && (ip == wanted.ip() || ip.is_unspecified() || wanted.ip().is_unspecified());
        (*state == LISTEN && here).then_some(*inode)
    })
}

/// An address as the kernel prints it: words of 32 bits, in the order of bytes of the machine.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (index, place) in bytes.chunks_exact_mut(4).enumerate() {
                place.copy_from_slice(&word(index * 8)?);
            }
            let ip = Ipv6Addr::from(bytes);
            Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
        }
        _ => None,
    }
}

/// The process that has a file of this name open.
fn holder(proc: &Path, name: &str) -> Option<u32> {
    let processes = std::fs::read_dir(proc).ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let files = std::fs::read_dir(proc.join(pid.to_string()).join("fd")).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        links.any(|link| link.as_os_str() == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_listens_is_found() {
        for bind in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let Ok(listener) = std::net::TcpListener::bind(bind) else { continue };
            let address = listener.local_addr().unwrap();
            let found = of(address).unwrap();
            assert!(found.starts_with(&format!("pid {} (", std::process::id())), "{bind}: {found}");
            drop(listener);
            assert_eq!(of(address), None, "{bind}: nobody listens any more");
        }
    }

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        if cfg!(target_endian = "little") {
            assert_eq!(address("0100007F"), Some("127.0.0.1".parse().unwrap()));
            assert_eq!(address("00000000000000000000000001000000"), Some("::1".parse().unwrap()));
            assert_eq!(address("0000000000000000FFFF00000100007F"), Some("127.0.0.1".parse().unwrap()));
        }
        assert_eq!(address("xyz"), None);
        assert_eq!(address("0100007"), None);
    }
}
