//! What happens in a run of the bar, drawn from one seed: when edits are made, what is cut from when to
//! when, and which phones are killed.
//!
//! The choreography is that of the public tests of peers: again and again, none to all phones lose what
//! they send, what they receive, or both, for up to ten seconds, without being told, and have up to ten
//! seconds in between; or a minority to a majority of the apps is killed for up to ten seconds. Beside
//! it, some cuts are of kinds that those tests leave out: a phone without any network that its system
//! tells of, for up to hours; names that do not resolve yet when the network is back; a hotel's login
//! page; and apps and phones that are restarted while they are cut off.

use super::link::{Break, Cut, Link};
use crate::plan::Setup;
use crate::rng::Rng;
use crate::server::Database;
use crate::time::SECOND_US;

/// The only kind of fault that a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Faults {
    /// The network is cut.
    Partitions,
    /// Apps are killed.
    Kills,
}

/// An app is killed, and started again.
#[derive(Debug, Clone, Copy)]
pub struct Kill {
    /// Whose.
    pub phone: usize,
    /// When, from the beginning of the plan on.
    pub at_us: i64,
    /// When it is started again.
    pub until_us: i64,
    /// The phone is, too.
    pub reboot: bool,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Phones, people, pages.
    pub setup: Setup,
    /// When somebody edits something.
    pub edits: Vec<i64>,
    /// Each phone's way.
    pub links: Vec<Link>,
    /// Who is killed.
    pub kills: Vec<Kill>,
    /// What the system of which phone tells its app when.
    pub told: Vec<(usize, i64, bool)>,
    /// When which phone has everything again that it needs to send what waits.
    pub returns: Vec<(usize, i64)>,
    /// When all faults and edits are over.
    pub end_us: i64,
}

/// Most phones.
const PHONES_MAX: usize = 4;

/// Draws a run.
#[must_use]
pub fn draw(seed: u64, faults: Faults) -> Plan {
    let mut rng = Rng::new(seed ^ 0xba12);
    let devices = 2 + rng.below(PHONES_MAX - 1);
    let people = 1 + rng.below(devices);
    let page_rows = rng.percent(50).then(|| 1 + rng.below(6));
    let setup = Setup {
        seed: rng.draw(),
        devices,
        people,
        page_rows,
        database: Database::Sqlite,
        steps: Vec::new(),
    };
    let mut plan = Plan {
        setup,
        edits: Vec::new(),
        links: vec![Link::default(); devices],
        kills: Vec::new(),
        told: Vec::new(),
        returns: Vec::new(),
        end_us: 0,
    };
    let mut at_us = rng.between(0, 5 * SECOND_US);
    for _ in 0..2 + rng.below(4) {
        let until_us = match faults {
            Faults::Partitions => plan.cut(&mut rng, at_us),
            Faults::Kills => plan.kill(&mut rng, at_us),
        };
        at_us = until_us + rng.between(0, 10 * SECOND_US);
    }
    plan.end_us = at_us;
    let edits = 8 + rng.below(24);
    plan.edits = (0..edits).map(|_| rng.between(0, at_us)).collect();
    plan.edits.sort_unstable();
    plan
}

impl Plan {
    /// Some phones lose the server. Answers when all have it again.
    fn cut(&mut self, rng: &mut Rng, at_us: i64) -> i64 {
        let seconds = |rng: &mut Rng, least, most| rng.between(least * SECOND_US, most * SECOND_US);
        let silent = [Break::Outbound, Break::Inbound, Break::All][rng.below(3)];
        let (what, lasts_us) = match rng.below(100) {
            0..70 => (silent, seconds(rng, 0, 10)),
            70..76 => (silent, seconds(rng, 10, 150)),
            76..80 => (Break::Hotel, seconds(rng, 1, 30)),
            80..90 => (Break::NoRoute, seconds(rng, 1, 60)),
            _ => (Break::NoRoute, seconds(rng, 60, 10_000)),
        };
        let until_us = at_us + lasts_us;
        let mut all_us = until_us;
        for phone in 0..self.links.len() {
            if rng.percent(40) {
                continue;
            }
            let link = &mut self.links[phone];
            link.cuts.push(Cut { from_us: at_us, until_us, what });
            if what == Break::NoRoute {
                self.told.push((phone, at_us + rng.between(0, SECOND_US / 2), false));
                self.told.push((phone, until_us + rng.between(0, SECOND_US / 2), true));
                let (what, most_s) = [(Break::NoDns, 7), (Break::SilentDns, 5)][rng.below(2)];
                if rng.percent(50) {
                    let later_us = until_us + rng.between(0, most_s * SECOND_US);
                    link.cuts.push(Cut { from_us: until_us, until_us: later_us, what });
                    all_us = all_us.max(later_us);
                }
            }
            let mut back_us = until_us;
            if rng.percent(25) {
                let at_us = rng.between(at_us, until_us);
                let until_us = at_us + rng.between(0, 5 * SECOND_US);
                let reboot = rng.percent(50);
                self.kills.push(Kill { phone, at_us, until_us, reboot });
                back_us = back_us.max(until_us);
                all_us = all_us.max(until_us);
            }
            self.returns.push((phone, back_us));
        }
        all_us
    }

    /// One to a majority of the apps are killed. Answers when all run again.
    fn kill(&mut self, rng: &mut Rng, at_us: i64) -> i64 {
        let phones = self.links.len();
        let killed = 1 + rng.below(phones / 2 + 1);
        let first = rng.below(phones);
        let mut all_us = at_us;
        for phone in (0..killed.min(phones)).map(|n| (first + n) % phones) {
            let at_us = at_us + rng.between(0, SECOND_US / 2);
            let until_us = at_us + rng.between(0, 10 * SECOND_US);
            self.kills.push(Kill { phone, at_us, until_us, reboot: rng.percent(20) });
            self.returns.push((phone, until_us));
            all_us = all_us.max(until_us);
        }
        all_us
    }

    /// Whether anything hits a phone between two times, the first not included.
    #[must_use]
    pub fn is_hit(&self, phone: usize, from_us: i64, until_us: i64) -> bool {
        let within = |at_us: i64| at_us > from_us && at_us <= until_us;
        let cuts = self.links[phone].cuts.iter();
        // That names do not resolve yet when the network is back is no other fault.
        let mut cuts = cuts.filter(|cut| !matches!(cut.what, Break::NoDns | Break::SilentDns));
        cuts.any(|cut| within(cut.from_us))
            || self.kills.iter().any(|kill| kill.phone == phone && within(kill.at_us))
    }
}
