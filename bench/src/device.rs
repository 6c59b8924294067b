//! The phone: the device library in a process of its own, so that its memory can be told apart.
//!
//! A job prints one line of JSON, [`Outcome`].

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use mobile_core::sync::Phase;
use mobile_core::{Config, Core, SignIn};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use tokio_util::sync::CancellationToken;

use crate::world::{PASSWORD, TENANT, USER};
use crate::{Result, memory};

/// What the phone does.
#[derive(Debug, clap::Args)]
pub struct Job {
    /// Its folder.
    #[arg(long)]
    dir: PathBuf,
    /// The server.
    #[arg(long)]
    server: String,
    /// So many rows are edited, one transaction each, before it syncs.
    #[arg(long, default_value_t = 0)]
    edits: usize,
    /// So many syncs; the last one is told of, or with more than one their median.
    #[arg(long, default_value_t = 1)]
    syncs: usize,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The whole round, in microseconds.
    pub sync_us: u64,
    /// Its push, in microseconds.
    pub push_us: u64,
    /// Rows that came.
    pub rows: u64,
    /// Edits that were applied.
    pub applied: u64,
    /// Edits that were answered otherwise.
    pub not_applied: u64,
    /// Resident before the round, in KiB.
    pub idle_kib: u64,
    /// Peak during the round, in KiB.
    pub peak_kib: u64,
    /// CPU time of the process during the round, in microseconds.
    pub cpu_us: u64,
}

impl Outcome {
    /// The whole round.
    pub fn sync(&self) -> Duration {
        Duration::from_micros(self.sync_us)
    }

    /// Its push.
    pub fn push(&self) -> Duration {
        Duration::from_micros(self.push_us)
    }

    /// Peak above idle, in MiB.
    pub fn memory_mib(&self) -> f64 {
        self.peak_kib.saturating_sub(self.idle_kib) as f64 / 1024.0
    }
}

/// Runs a job in a process of its own.
pub async fn in_own_process(
    server: &str,
    dir: &Path,
    edits: usize,
    syncs: usize,
) -> Result<Outcome> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.arg("device").arg("--server").arg(server).arg("--dir").arg(dir);
    command.arg("--edits").arg(edits.to_string()).arg("--syncs").arg(syncs.to_string());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().await?;
    if !output.status.success() {
        return Err("the phone failed".into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

impl Job {
    /// Signs in if need be, edits, syncs, and tells.
    pub async fn run(self) -> Result {
        let core = Core::open(Config::new(&self.dir))?;
        if core.status()?.person.is_none() {
            core.login(SignIn {
                server: self.server.clone(),
                tenant: TENANT.to_owned(),
                user: USER.to_owned(),
                password: PASSWORD.to_owned(),
                device_name: None,
            })
            .await?;
        }
        if self.edits > 0 {
            edit(&core, self.edits)?;
        }
        let mut rounds = Vec::with_capacity(self.syncs);
        for _ in 0..self.syncs {
            rounds.push(round(&core).await?);
        }
        rounds.sort_by_key(|round| round.sync_us);
        let median = rounds.get(rounds.len() / 2).ok_or("no sync was asked for")?;
        println!("{}", serde_json::to_string(median)?);
        Ok(())
    }
}

async fn round(core: &Core) -> Result<Outcome> {
    let mut progress = core.engine()?.progress();
    memory::forget_peak()?;
    let idle_kib = memory::resident_kib()?;
    let cpu = cpu_us()?;
    let since = Instant::now();
    let watched = tokio::spawn(async move {
        while progress.borrow_and_update().phase != Phase::Pulling {
            progress.changed().await.ok()?;
        }
        Some(since.elapsed())
    });
    let report = core.sync(&CancellationToken::new()).await?;
    let sync = since.elapsed();
    watched.abort();
    let push = watched.await.ok().flatten().unwrap_or(sync);
    Ok(Outcome {
        sync_us: u64::try_from(sync.as_micros())?,
        push_us: u64::try_from(push.as_micros())?,
        rows: report.rows,
        applied: report.applied,
        not_applied: report.sent - report.applied,
        idle_kib,
        peak_kib: memory::peak_kib()?,
        cpu_us: cpu_us()? - cpu,
    })
}

/// Edits the first rows: three fields each, other values each time.
fn edit(core: &Core, count: usize) -> Result {
    let found = core.query(
        "SELECT id, avance_pct, cantidad FROM mediciones ORDER BY id LIMIT ?1",
        &[json!(count)],
    )?;
    if found.rows.len() != count {
        return Err(format!("{} rows to edit, {count} wanted", found.rows.len()).into());
    }
    for row in &found.rows {
        let id = row[0].as_str().ok_or("an id")?;
        let (percent, units) = (row[1].as_i64().unwrap_or(0), row[2].as_i64().unwrap_or(0));
        let mut fields = Map::new();
        fields.insert("avance_pct".to_owned(), json!((percent + 1) % 101));
        let units = (units + 125) % 9_000_000;
        let quantity = format!("{}.{:03}", units / 1000, units % 1000);
        fields.insert("cantidad".to_owned(), json!(quantity));
        fields.insert("notas".to_owned(), json!(format!("corregida {percent} {id}")));
        core.update("mediciones", id.parse()?, &fields)?;
    }
    Ok(())
}

/// User and system time of this process.
fn cpu_us() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // After the name in brackets: utime and stime are the 12th and 13th, in hundredths of a second.
    let (_, rest) = stat.rsplit_once(')').ok_or("/proc/self/stat")?;
    let ticks: u64 =
        rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Ok(ticks * 10_000)
}
