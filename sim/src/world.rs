//! The world of a run: a server, phones, people, the oracle, and the trace of what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mobile_core::CoreError;
use mobile_core::photos::Prepared;
use mobile_core::transport::exchange::Request;
use sha2::{Digest, Sha256};
use sync_protocol::fault::{self, Side};
use sync_protocol::schema::Schema;
use sync_protocol::{RecordId, Scope, UserId};
use sync_server::clock::Clock as _;
use uuid::Uuid;

use crate::device::Device;
use crate::oracle::judge::Judge;
use crate::oracle::ledger::{Edit, Ledger, Place};
use crate::oracle::photos::server as pictures;
use crate::oracle::snapshot::{Reader, Snapshot};
use crate::oracle::{Checked, Violation, parents, view};
use crate::plan::Setup;
use crate::rng::Rng;
use crate::schema::{self, Schemas};
use crate::server::Server;
use crate::time::{DAY_US, SECOND_US, TrueTime};

/// How large the pieces are in which phones send pictures: of a run, one of these.
const PIECES_BYTES: [usize; 4] = [400, 1_000, 3_000, 512 * 1024];

/// Somebody.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their account.
    pub id: UserId,
    /// What they type.
    pub login: String,
    /// What they may do.
    pub role: &'static str,
}

/// How much was done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Rounds that phones began.
    pub syncs: u64,
    /// Requests that reached the server.
    pub requests: u64,
    /// Edits that phones accepted.
    pub edits: u64,
    /// Looks at a phone at a checkpoint.
    pub looks: u64,
    /// Sets of rows that phones compared with the server's digests.
    pub digests: u64,
    /// Exports of phones.
    pub exports: u64,
    /// Damages that were mended.
    pub damages: u64,
    /// Pictures of which a phone heard that the server has them.
    pub pictures: u64,
}

/// Everything there is.
pub struct World {
    /// The true time.
    pub time: TrueTime,
    /// The server.
    pub server: Server,
    reader: Reader,
    /// The phones.
    pub devices: Vec<Device>,
    /// The people.
    pub people: Vec<Person>,
    /// The schema in both versions.
    pub schemas: Schemas,
    /// Entities with a scope of their own that the office made.
    pub projects: Vec<RecordId>,
    /// Requests that arrive late: whose, and what.
    pub late: Vec<(usize, Request)>,
    /// What the oracle remembers.
    pub ledger: Ledger,
    /// What the oracle knows of the merges so far.
    pub judge: Judge,
    pub(crate) page_rows: Option<usize>,
    /// Most bytes of a picture in one request of a phone.
    pub piece_bytes: usize,
    /// Pictures that were taken.
    pub album: Vec<Prepared>,
    /// Bytes of bodies that went over all lines.
    pub bytes: u64,
    /// After which of them the line breaks, once.
    pub break_after: Option<u64>,
    /// How often somebody died at the armed fault point.
    pub fired: u32,
    /// What happened: names of operations, faults, and merges.
    pub seen: BTreeSet<String>,
    /// How much was done.
    pub counts: Counts,
    hash: Sha256,
    telling: bool,
    _directory: tempfile::TempDir,
}

impl World {
    /// The beginning of a run: people with phones, and an office with some projects.
    pub async fn begin(setup: &Setup, telling: bool) -> Self {
        let mut rng = Rng::new(setup.seed);
        let shm = std::path::Path::new("/dev/shm");
        let directory = match shm.is_dir() {
            true => tempfile::tempdir_in(shm),
            false => tempfile::tempdir(),
        }
        .expect("a directory");
        let time = TrueTime::begin();
        let schemas = schema::draw(&mut Rng::new(rng.draw()));
        let path = directory.path().join("server");
        let server =
            Server::begin(&path, setup.database, time.clone(), schemas.first.clone(), rng.draw())
                .await;
        let mut people = Vec::new();
        for number in 0..setup.people {
            let id = UserId(Uuid::from_u128(0x00aa_0000 + number as u128));
            let role = if number % 3 == 0 { "jefe" } else { "obrero" };
            let login = format!("user{number}");
            server.person(id, &login, role).await;
            people.push(Person { id, login, role });
        }
        let reader = Reader::open(&server.place(), schemas.first.clone());
        let mut world = Self {
            time,
            server,
            reader,
            devices: Vec::new(),
            people,
            schemas,
            projects: Vec::new(),
            late: Vec::new(),
            ledger: Ledger::default(),
            judge: Judge::default(),
            page_rows: setup.page_rows,
            piece_bytes: PIECES_BYTES[Rng::new(setup.seed ^ 0xf070).below(PIECES_BYTES.len())],
            album: Vec::new(),
            bytes: 0,
            break_after: None,
            fired: 0,
            seen: BTreeSet::new(),
            counts: Counts::default(),
            hash: Sha256::new(),
            telling,
            _directory: directory,
        };
        // Most phones compare digests all the time, some every ten minutes as in earnest.
        let mut digests = Rng::new(setup.seed ^ 0xd16e);
        for number in 0..setup.devices {
            let off_us = match rng.below(4) {
                0 => rng.between(-365, 365) * DAY_US,
                1 => rng.between(-300, 300) * SECOND_US,
                _ => 0,
            };
            // Two minutes a day is a bad clock; it is what it takes to be ahead of the server.
            let drift_ppm = if rng.percent(35) { 1_500 } else { rng.between(-100, 100) };
            let path = world._directory.path().to_owned();
            let seed = rng.draw();
            let mut device = Device::begin(number, &path, &world.time, seed, off_us, drift_ppm);
            device.digests = digests.percent(80);
            device.piece_bytes = world.piece_bytes;
            world.devices.push(device);
        }
        world.tell(format!(
            "seed {:x}: {} phones, {} people, {} steps",
            setup.seed,
            setup.devices,
            setup.people,
            setup.steps.len()
        ));
        world
    }

    /// Writes a line of the trace. Only what repeats exactly belongs into it.
    pub fn tell(&mut self, line: String) {
        self.hash.update(line.as_bytes());
        self.hash.update([0]);
        if self.telling {
            let at_us = self.time.since_begin_us();
            println!("{:>10}.{:03}s  {line}", at_us / SECOND_US, at_us % SECOND_US / 1_000);
        }
    }

    /// The hash of the trace so far.
    #[must_use]
    pub fn trace_hash(&self) -> String {
        self.hash.clone().finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Notes that something occurred.
    pub fn note(&mut self, what: &str) {
        if !self.seen.contains(what) {
            self.seen.insert(what.to_owned());
        }
    }

    /// The schema that the server runs with.
    #[must_use]
    pub fn schema(&self) -> Arc<Schema> {
        self.server.schema.clone()
    }

    /// The server's content now.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        self.reader.now()
    }

    /// The server's content now, also what changed without being news to phones.
    pub fn snapshot_afresh(&mut self) -> Arc<Snapshot> {
        self.reader.afresh()
    }

    /// Hashes of the server's refresh tokens, with when they end.
    #[must_use]
    pub fn tokens(&self) -> BTreeMap<String, i64> {
        self.reader.tokens()
    }

    /// A file of that name that is not there, nor is a folder beside it.
    #[must_use]
    pub fn new_file(&mut self, name: &str) -> std::path::PathBuf {
        self.counts.exports += 1;
        let folder = self._directory.path().join("exports").join(self.counts.exports.to_string());
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        folder.join(name)
    }

    /// What the server's clock says.
    #[must_use]
    pub fn server_now_us(&self) -> i64 {
        self.server.clock.now_us()
    }

    /// The server starts again.
    pub async fn restart_server(&mut self, schema: Arc<Schema>) {
        self.server.restart(schema.clone()).await;
        self.reader = Reader::open(&self.server.place(), schema);
    }

    /// The company's room for pictures changes, or is as usual; the server starts again.
    pub async fn set_photo_quota(&mut self, bytes: Option<u64>) {
        self.server.set_quota(bytes).await;
        self.reader = Reader::open(&self.server.place(), self.schema());
    }

    /// The scope of a project.
    #[must_use]
    pub fn scope(project: RecordId) -> Scope {
        Scope::entity("project", project.0)
    }

    /// Who uses a phone.
    #[must_use]
    pub fn user_of(&self, device: usize) -> Option<usize> {
        let person = self.devices[device].core().status().ok()?.person?;
        self.people.iter().position(|known| known.id == person.user)
    }

    /// The number of a phone that somebody uses.
    pub fn used_phone(&self, rng: &mut Rng) -> Option<Place> {
        let number = rng.below(self.devices.len());
        if !self.devices[number].on {
            return None;
        }
        Some((number, self.user_of(number)?))
    }

    /// Starts the server again if it died at a fault point. Answers whether it did.
    pub async fn bury_server(&mut self) -> bool {
        let Some(point) = fault::died(Side::Server) else { return false };
        fault::revive();
        self.tell(format!("the server dies: {point:?}"));
        let schema = self.schema();
        self.restart_server(schema).await;
        true
    }

    /// Starts whoever died amid an operation that began at `before`. What phones have of it counts.
    ///
    /// # Errors
    /// What the oracle finds.
    pub async fn recover(&mut self, before: &Snapshot) -> Checked {
        self.bury_server().await;
        if let Some(point) = fault::died(Side::Device) {
            self.tell(format!("all phones die: {point:?}"));
        }
        self.settle(before, true).await
    }

    /// An operation that began at `before` failed somewhere, perhaps with all phones. What they have of it
    /// counts.
    ///
    /// # Errors
    /// What the oracle finds.
    pub async fn settle(&mut self, before: &Snapshot, all_died: bool) -> Checked {
        self.wrote_beside(before)?;
        for device in 0..self.devices.len() {
            if all_died {
                self.devices[device].crash(false).await;
            } else {
                self.devices[device].give_up().await;
            }
            let Some(person) = self.user_of(device) else { continue };
            let receipts = self.devices[device].core().receipts().map_err(|e| broken(&e))?;
            for receipt in receipts {
                let discarded = receipt.state == mobile_core::outbox::entry::State::Discarded;
                let place = (device, person);
                let taken_back = view::is_withdrawn(&receipt);
                let edit = Edit::made(place, receipt.mutations);
                let known = self.ledger.edits.entry(receipt.id).or_insert(edit);
                known.discarded = discarded && !known.copied;
                known.replaced |= receipt.replaced_by.is_some();
                known.withdrawn |= taken_back || (discarded && known.copied);
            }
            self.look_at(device)?;
        }
        Ok(())
    }

    /// Whether the line breaks within the next bytes; then how many of them pass.
    pub fn passes(&mut self, bytes: usize) -> Option<usize> {
        let before = self.bytes;
        self.bytes += bytes as u64;
        let last = self.break_after.filter(|after| (before..self.bytes).contains(after))?;
        self.break_after = None;
        usize::try_from(last - before).ok()
    }

    /// Something was written beside pushes since `before`; the judge takes it over as it is.
    ///
    /// # Errors
    /// What the oracle finds.
    pub fn wrote_beside(&mut self, before: &Snapshot) -> Checked {
        let now = self.snapshot();
        self.judge.wrote(before, &now);
        self.ledger.deletions.wrote(before, &now, self.server_now_us());
        parents::check(&self.server.schema, &now)?;
        let (schema, shelf) = (self.schema(), self.server.shelf.clone());
        pictures::shelf(&schema, &shelf, &now, &mut self.ledger)
    }

    /// How many edits there are of each state on a phone, for the trace.
    #[must_use]
    pub fn states(&self, device: usize) -> BTreeMap<String, i64> {
        self.devices[device].core().status().map(|status| status.receipts).unwrap_or_default()
    }
}

/// An error of a phone that no fault of the run explains.
#[must_use]
pub fn broken(error: &CoreError) -> Violation {
    Violation { invariant: "a phone's library does not fail", found: error.to_string() }
}

/// The last digits of an id, for the trace.
#[must_use]
pub fn short(id: impl std::fmt::Display) -> String {
    let text = id.to_string();
    text[text.len().saturating_sub(6)..].to_owned()
}
