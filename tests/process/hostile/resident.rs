//! What the kernel says of a process: memory, descriptors, and what waits in its sockets.

use std::net::SocketAddrV4;

/// Starts a new peak of resident memory.
pub fn forget_peak(process: u32) {
    // Without this right the peak is that of the whole life, which makes growth look larger and never smaller.
    let _ = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
}

/// Resident bytes now.
pub fn now(process: u32) -> u64 {
    field(process, "VmRSS:")
}

/// The most resident bytes since the peak was forgotten.
pub fn peak(process: u32) -> u64 {
    field(process, "VmHWM:")
}

fn field(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the collector is gone");
    let kib = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("a line of the kernel") << 10
}

/// Descriptors that are open.
pub fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("the collector is gone").count()
}

/// Bytes that wait to be sent to and to be read from this client, at the other end of its connection.
pub fn queued_for(client: std::net::SocketAddr) -> Option<String> {
    let std::net::SocketAddr::V4(client) = client else { return None };
    let client = kernels(client);
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.into_iter().find(|fields| fields.get(2) == Some(&client.as_str()))?.get(4).map(|queues| (*queues).to_owned())
}

/// An address as the kernel shows it.
fn kernels(address: SocketAddrV4) -> String {
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}
