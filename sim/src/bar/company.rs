//! A run of the bar: phones whose loops run by themselves, in simulated time, from one event to the next.

use std::collections::{BTreeMap, BTreeSet};

use mobile_core::outbox::entry::State;
use mobile_core::transport::exchange::Request;
use sync_protocol::ReceiptId;

use super::phone::{Coming, Phone};
use super::plan::{Kill, Plan};
use super::tcp::{Meter, Sent, Wire};
use crate::network::{End, Fate};
use crate::ops::edit;
use crate::oracle::{Checked, violated};
use crate::rng::Rng;
use crate::run;
use crate::server::Response;
use crate::time::SECOND_US;
use crate::wire;
use crate::world::{World, broken, short};

/// Within which time of the network's return what waited is at the server.
pub const BAR_US: i64 = 11 * SECOND_US;
/// How long phones sync by themselves before they are compared: two rounds of their timer.
const QUIET_US: i64 = 130 * SECOND_US;

/// Edits that people make: of few records, so that they meet.
const EDITS: [&str; 5] = ["insert", "update", "update", "transaction", "two change one field"];

/// What happens next.
enum Event {
    /// Somebody edits something.
    Edit,
    /// A request is at the server.
    Arrives { phone: usize, life: u32, request: Request, sent: Sent },
    /// An answer is at the phone, or it gives up.
    Comes { phone: usize, life: u32, fate: Fate },
    /// An app is killed.
    Killed(Kill),
    /// It is started again.
    Started(usize),
    /// A system tells its app of the network.
    Told(usize, bool),
    /// A phone has everything again.
    Returned(usize),
    /// What waited at its return is to be at the server now.
    Due { phone: usize, since_us: i64, waited: BTreeSet<ReceiptId> },
}

/// The company while the bar is measured.
pub struct Company {
    /// Server, phones and oracle.
    pub world: World,
    plan: Plan,
    /// When the plan's time begins, in true time.
    begin_us: i64,
    phones: Vec<Phone>,
    events: BTreeMap<(i64, u64), Event>,
    numbers: u64,
    rng: Rng,
    /// The longest that anything waited after a return, until it was at the server.
    pub slowest_us: i64,
    /// Since when a phone that came back sends what waited.
    sending: BTreeMap<usize, (i64, BTreeSet<ReceiptId>)>,
}

impl Company {
    /// Everybody has signed in and synced once.
    ///
    /// # Errors
    /// What the oracle finds.
    pub async fn begin(plan: &Plan, telling: bool) -> Result<Self, crate::oracle::Violation> {
        let mut world = World::begin(&plan.setup, telling).await;
        let mut rng = Rng::new(plan.setup.seed ^ 0xba12);
        run::begin(&mut world, &mut rng).await?;
        let begin_us = world.time.now_us();
        let mut company = Self {
            world,
            plan: plan.clone(),
            begin_us,
            phones: Vec::new(),
            events: BTreeMap::new(),
            numbers: 0,
            rng,
            slowest_us: 0,
            sending: BTreeMap::new(),
        };
        for link in &plan.links {
            let mut link = link.clone();
            for cut in &mut link.cuts {
                cut.from_us += begin_us;
                cut.until_us += begin_us;
            }
            let round_trip_us = company.rng.between(20_000, 300_000);
            let bytes_per_s = company.rng.between(5_000, 500_000);
            company.phones.push(Phone::new(Wire::new(link, round_trip_us, bytes_per_s)));
        }
        for phone in 0..company.phones.len() {
            company.start(phone).await?;
        }
        company.schedule();
        Ok(company)
    }

    /// Somebody opens the app of a phone.
    pub fn open(&self, phone: usize) {
        self.phones[phone].open();
    }

    /// What a phone's line carried so far.
    #[must_use]
    pub fn meter(&self, phone: usize) -> Meter {
        self.phones[phone].wire.meter
    }

    fn schedule(&mut self) {
        let plan = self.plan.clone();
        for at_us in &plan.edits {
            self.at(self.begin_us + at_us, Event::Edit);
        }
        for kill in &plan.kills {
            self.at(self.begin_us + kill.at_us, Event::Killed(*kill));
            self.at(self.begin_us + kill.until_us, Event::Started(kill.phone));
        }
        for (phone, at_us, network) in &plan.told {
            self.at(self.begin_us + at_us, Event::Told(*phone, *network));
        }
        for (phone, at_us) in &plan.returns {
            self.at(self.begin_us + at_us, Event::Returned(*phone));
        }
    }

    fn at(&mut self, at_us: i64, event: Event) {
        self.numbers += 1;
        self.events.insert((at_us.max(self.world.time.now_us()), self.numbers), event);
    }

    /// Lets everything happen, and looks at it.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn whole(&mut self) -> Checked {
        let end_us = self.begin_us + self.plan.end_us;
        self.until(end_us).await?;
        self.until(end_us + BAR_US).await?;
        for phone in 0..self.phones.len() {
            let waiting = self.waiting(phone)?;
            if let Some(id) = waiting.first() {
                let states = self.world.states(phone);
                return violated(
                    "the outbox is empty within 11 s of the network's return",
                    format!("phone {phone}: {id} still waits at the end: {states:?}"),
                );
            }
        }
        self.until(end_us + BAR_US + QUIET_US).await?;
        for phone in 0..self.phones.len() {
            let Some(person) = self.world.user_of(phone) else {
                return violated("nobody is signed out", format!("phone {phone}"));
            };
            run::compare(&mut self.world, phone, person)?;
        }
        Ok(())
    }

    /// Lets everything happen up to a time.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn until(&mut self, end_us: i64) -> Checked {
        loop {
            let alarms = self.phones.iter().zip(&self.world.devices);
            let alarms = alarms.filter(|(phone, _)| phone.app.is_some());
            let alarm = alarms.filter_map(|(_, device)| device.clock.alarm_us()).min();
            let next = self.events.first_key_value().map(|(key, _)| *key);
            let next_us = next.map_or(i64::MAX, |(at_us, _)| at_us).min(alarm.unwrap_or(i64::MAX));
            let now_us = self.world.time.now_us();
            self.world.time.advance(next_us.min(end_us).max(now_us) - now_us);
            if next_us > end_us {
                return Ok(());
            }
            if let Some(key) = next.filter(|key| key.0 <= next_us)
                && let Some(event) = self.events.remove(&key)
            {
                self.happens(event).await?;
            }
            self.all_go_on().await?;
        }
    }

    /// Lets all loops go on, and sends what they want to send.
    async fn all_go_on(&mut self) -> Checked {
        for number in 0..self.phones.len() {
            let (phone, device) = (&mut self.phones[number], &self.world.devices[number]);
            phone.go_on(device).await;
            if phone.asked || phone.app.is_none() {
                continue;
            }
            let Some(request) = device.line.parked() else { continue };
            phone.asked = true;
            if !phone.in_round {
                phone.in_round = true;
                self.world.counts.syncs += 1;
            }
            let headers: usize = request
                .headers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + 4)
                .sum();
            let bytes = headers + request.path.len() + request.body.len();
            let life = phone.life;
            match phone.wire.send(self.world.time.now_us(), bytes) {
                Ok(sent) => {
                    let event = Event::Arrives { phone: number, life, request, sent };
                    self.at(sent.there_us, event);
                }
                Err(failed) => {
                    self.world.tell(format!(
                        "phone {number}: {}: {}",
                        request.path,
                        failed.error.code()
                    ));
                    let fate = Fate::Fails(failed.error);
                    self.at(failed.at_us, Event::Comes { phone: number, life, fate });
                }
            }
        }
        Ok(())
    }

    async fn happens(&mut self, event: Event) -> Checked {
        match event {
            Event::Edit => {
                let name = EDITS[self.rng.below(EDITS.len())];
                let operation = edit::OPERATIONS.iter().find(|operation| operation.name == name);
                let Some(operation) = operation else { return Ok(()) };
                (operation.run)(&mut self.world, &mut self.rng).await
            }
            Event::Arrives { phone, life, request, sent } => {
                self.arrives(phone, life, &request, sent).await
            }
            Event::Comes { phone, life, fate } => {
                if self.phones[phone].life != life {
                    return Ok(());
                }
                self.phones[phone].coming = None;
                self.phones[phone].asked = false;
                self.world.devices[phone].line.resume(fate);
                self.phones[phone].go_on(&self.world.devices[phone]).await;
                self.measure(phone)?;
                self.world.look_at(phone)
            }
            Event::Killed(kill) => self.killed(kill).await,
            Event::Started(phone) => self.start(phone).await,
            Event::Told(phone, network) => {
                self.world.tell(format!("phone {phone}: the system says, network {network}"));
                self.phones[phone].tell(network);
                Ok(())
            }
            Event::Returned(phone) => self.returned(phone),
            Event::Due { phone, since_us, waited } => {
                let waiting = self.waiting(phone)?;
                match waiting.intersection(&waited).next() {
                    None => Ok(()),
                    Some(id) => violated(
                        "the outbox is empty within 11 s of the network's return",
                        format!(
                            "phone {phone}: {id} has waited since {} s, {:?}",
                            (since_us - self.begin_us) / SECOND_US,
                            self.world.states(phone)
                        ),
                    ),
                }
            }
        }
    }

    async fn arrives(&mut self, phone: usize, life: u32, request: &Request, sent: Sent) -> Checked {
        let Some(response) = self.world.deliver(phone, request).await? else { return Ok(()) };
        let now_us = self.world.time.now_us();
        self.world.tell(format!("phone {phone}: {} -> {}", request.path, response.status));
        let bytes = response.body.len();
        let took_us = self.rng.between(2_000, 50_000);
        let from_us = now_us + took_us;
        if self.phones[phone].life != life {
            return Ok(());
        }
        let fate_at = match self.phones[phone].wire.answer(sent, from_us, bytes) {
            Ok(at_us) => (at_us, Fate::Answered(response.clone(), End::Whole)),
            Err((failed, 0)) => (failed.at_us, Fate::Fails(failed.error)),
            Err((failed, got)) => {
                let pages = wire::pages(&response.body).len();
                let cut = Response { body: response.body.slice(..got), ..response.clone() };
                let left = wire::pages(&cut.body).len();
                self.world.tell(format!("phone {phone}: cut after page {left} of {pages}"));
                (failed.at_us, Fate::Answered(cut, End::Broken(failed.error)))
            }
        };
        self.phones[phone].coming = Some(Coming { response, from_us });
        self.at(fate_at.0, Event::Comes { phone, life, fate: fate_at.1 });
        Ok(())
    }

    async fn killed(&mut self, kill: Kill) -> Checked {
        let now_us = self.world.time.now_us();
        let phone = &mut self.phones[kill.phone];
        if phone.app.is_none() {
            return Ok(());
        }
        // What has come of an answer so far may be durable already.
        let link = &phone.wire.link;
        let comes = |coming: &Coming| {
            let cut = link.next_inbound_cut(coming.from_us).is_some_and(|cut_us| cut_us < now_us);
            link.passes_in(coming.from_us) && !cut
        };
        if let Some(Coming { response, from_us }) = phone.coming.take().filter(comes) {
            let came = (now_us - from_us).max(0) * phone.wire.bytes_per_s / SECOND_US;
            let came = usize::try_from(came).unwrap_or(0).min(response.body.len());
            if came > 0 {
                let body = response.body.slice(..came);
                let fate = Fate::Answered(Response { body, ..response }, End::Never);
                self.world.devices[kill.phone].line.resume(fate);
                phone.go_on(&self.world.devices[kill.phone]).await;
            }
        }
        phone.app = None;
        phone.life += 1;
        phone.asked = false;
        phone.in_round = false;
        phone.wire.hang_up();
        let device = &mut self.world.devices[kill.phone];
        device.on = false;
        device.crash(kill.reboot).await;
        let with = if kill.reboot { " with the phone" } else { "" };
        self.world.tell(format!("phone {}: killed{with}", kill.phone));
        self.world.look_at(kill.phone)
    }

    async fn start(&mut self, number: usize) -> Checked {
        if self.phones[number].app.is_some() {
            return Ok(());
        }
        self.world.devices[number].on = true;
        self.world.tell(format!("phone {number}: its app starts"));
        self.phones[number].start(&self.world.devices[number]).map_err(|error| broken(&error))
    }

    /// The outbox: edits of a phone of which it does not know that they are at the server; not those that
    /// wait for another one to be corrected.
    fn waiting(&mut self, phone: usize) -> Result<BTreeSet<ReceiptId>, crate::oracle::Violation> {
        let pending = self.world.devices[phone].core().pending().map_err(|error| broken(&error))?;
        let unsent = |state: &State| matches!(state, State::Waiting | State::Sending);
        let open = pending.iter().filter(|receipt| unsent(&receipt.state));
        Ok(open.map(|receipt| receipt.id).collect())
    }

    fn returned(&mut self, phone: usize) -> Checked {
        let now_us = self.world.time.now_us();
        let waited = self.waiting(phone)?;
        let at_us = now_us - self.begin_us;
        let again = self.plan.is_hit(phone, at_us, at_us + BAR_US);
        let first = waited.first().map(short).unwrap_or_default();
        self.world.tell(format!("phone {phone}: back, {} wait {first}", waited.len()));
        if !again && self.phones[phone].app.is_some() {
            self.sending.insert(phone, (now_us, waited.clone()));
            let due = Event::Due { phone, since_us: now_us, waited };
            self.at(now_us + BAR_US, due);
        }
        Ok(())
    }

    /// How long it took until what waited at a phone's return was at the server.
    fn measure(&mut self, phone: usize) -> Checked {
        let Some((since_us, waited)) = self.sending.remove(&phone) else { return Ok(()) };
        let waiting = self.waiting(phone)?;
        if waiting.intersection(&waited).next().is_some() {
            self.sending.insert(phone, (since_us, waited));
        } else if !waited.is_empty() {
            self.slowest_us = self.slowest_us.max(self.world.time.now_us() - since_us);
        }
        Ok(())
    }
}
