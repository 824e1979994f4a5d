//! What the kernel says of a process: memory and descriptors.

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
