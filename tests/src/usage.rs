//! What processes use: CPU seconds by the scheduler's clock, resident memory from `/proc`, with all their descendants.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::{AddAssign, Sub};
use std::time::Duration;

use anyhow::Context;
use nix::time::clock_getcpuclockid;
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde::Serialize;

/// A sum over processes at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub cpu_seconds: f64,
    /// Resident, shared pages counted once for each process.
    pub rss_mib: f64,
    /// Resident, shared pages divided among those who share them.
    pub pss_mib: f64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.cpu_seconds += other.cpu_seconds;
        self.rss_mib += other.rss_mib;
        self.pss_mib += other.pss_mib;
    }
}

impl Sub for Usage {
    type Output = f64;

    /// CPU seconds between two moments.
    fn sub(self, earlier: Self) -> f64 {
        self.cpu_seconds - earlier.cpu_seconds
    }
}

/// What `roots` and their descendants use, together. CPU includes children that have ended and were waited for.
pub fn of(roots: &[i32]) -> anyhow::Result<Usage> {
    let ticks = ticks_per_second()?;
    let mut total = Usage::default();
    for pid in descendants(roots)? {
        // One that ended just now uses nothing any more.
        if let Some(usage) = one(pid, ticks) {
            total += usage;
        }
    }
    Ok(total)
}

/// The process' children, as deep as they go.
pub fn children(pid: i32) -> anyhow::Result<usize> {
    Ok(descendants(&[pid])?.len() - 1)
}

fn one(pid: i32, ticks: f64) -> Option<Usage> {
    let fields = stat(pid)?;
    // cutime and cstime, fields 16 and 17, of which the first here is 3: of children that have ended, known in ticks only.
    let ended: f64 = fields
        .get(13..15)?
        .iter()
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    // The sum of the first figures of all its threads' `schedstat`, those that have ended included: nanoseconds, where
    // `stat` has ticks of 10 ms, more than an idle service uses in a second.
    let clock = clock_getcpuclockid(Pid::from_raw(pid)).ok()?.now().ok()?;
    let own = Duration::from(clock).as_secs_f64();
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let mib = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    };
    Some(Usage {
        cpu_seconds: own + ended / ticks,
        rss_mib: mib("Rss:"),
        pss_mib: mib("Pss:"),
    })
}

/// The fields of `/proc/<pid>/stat` from the third on; the second may hold blanks and brackets.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn descendants(roots: &[i32]) -> anyhow::Result<BTreeSet<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("reading /proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = BTreeSet::new();
    let mut next: Vec<i32> = roots.to_vec();
    while let Some(pid) = next.pop() {
        if all.insert(pid) {
            next.extend(children.get(&pid).into_iter().flatten());
        }
    }
    Ok(all)
}

#[expect(clippy::cast_precision_loss, reason = "it is 100 or 1000")]
fn ticks_per_second() -> anyhow::Result<f64> {
    let ticks = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
    Ok(ticks as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_process_uses_time_and_memory() {
        let own = i32::try_from(std::process::id()).unwrap();
        let before = of(&[own]).unwrap();
        let mut number = 1_u64;
        while of(&[own]).unwrap() - before < 0.05 {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(before.rss_mib > 1.0 && before.pss_mib <= before.rss_mib);
    }
}
