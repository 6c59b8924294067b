//! This process's memory, as Linux counts it.

use std::fs;

use crate::Result;

/// Resident now, in KiB.
pub fn resident_kib() -> Result<u64> {
    read("VmRSS:")
}

/// Most that was resident since the last [`forget_peak`], in KiB.
pub fn peak_kib() -> Result<u64> {
    read("VmHWM:")
}

/// Begins a new peak.
pub fn forget_peak() -> Result {
    // 5 resets VmHWM, see proc(5).
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

fn read(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    Ok(kib.ok_or_else(|| format!("/proc/self/status has no {name}"))?.trim().parse()?)
}
