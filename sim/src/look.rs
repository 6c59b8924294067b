//! What the oracle looks at on a phone, after everything that happens to it.

use crate::nth::disk::Looking;
use crate::oracle::damage::{self, Standing};
use crate::oracle::ledger::Place;
use crate::oracle::photos::phone;
use crate::oracle::{Checked, Violation, checkpoint, conservation, leaving, view};
use crate::world::{World, broken};

impl World {
    /// Looks at a phone, where somebody uses it.
    ///
    /// # Errors
    /// What the oracle finds.
    pub fn look_at(&mut self, device: usize) -> Checked {
        let _looking = Looking::begin();
        let Some(person) = self.user_of(device) else { return Ok(()) };
        let place = (device, person);
        let known = self.ledger.known.entry(place).or_default();
        let Standing::Sound { log_end } = known.damage else {
            // What was damaged may have to be asked about anew.
            known.older = true;
            return Ok(());
        };
        if self.ledger.wiping == Some(device) {
            return Ok(());
        }
        let user = self.people[person].id;
        let core = self.devices[device].core().clone();
        let receipts = core.receipts().map_err(|error| broken(&error))?;
        conservation::on_phone(&self.ledger, place, &receipts)?;
        self.ledger.heard(receipts.iter().filter(|view| view.settled).map(|view| view.id));
        let visible = core.schema().map_err(|error| broken(&error))?;
        let engine = core.engine().map_err(|error| broken(&error))?;
        let known = self.ledger.known.entry(place).or_default();
        let stream = core.status().map_err(|error| broken(&error))?.stream;
        leaving::stays_in_its_stream(known, stream)?;
        self.counts.looks += 1;
        let looked = engine
            .store()
            .read(|db| {
                let mut all = || {
                    damage::check(db, log_end)?;
                    checkpoint::check(db, &visible, user, known)?;
                    view::counters(db, &visible, &receipts)?;
                    match known.base.clone() {
                        Some(base) => view::check(db, &visible, user, &base, &receipts),
                        None => Ok(()),
                    }
                };
                Ok(all())
            })
            .map_err(|error| broken(&error))?
            .map_err(|violation| Violation {
                found: format!("phone {device} of user{person}: {}", violation.found),
                ..violation
            });
        self.counts.digests += std::mem::take(&mut known.compared);
        looked?;
        self.look_at_photos(place, false)
    }

    /// Looks at the pictures of a phone's user, after a round also at those that should have left.
    ///
    /// # Errors
    /// What the oracle finds.
    pub fn look_at_photos(&mut self, place: Place, after_round: bool) -> Checked {
        let known = self.ledger.known.entry(place).or_default();
        if known.damage == Standing::Damaged {
            return Ok(());
        }
        let schema = self.schema();
        let core = self.devices[place.0].core().clone();
        let engine = core.engine().map_err(|error| broken(&error))?;
        let visible = core.schema().map_err(|error| broken(&error))?;
        let database = engine.store().path();
        let ledger = &mut self.ledger;
        let looked = engine.store().read(|db| {
            let checked = phone::check((db, database), &schema, ledger, place);
            Ok(checked.and_then(|()| match after_round {
                true => phone::after_round((db, database), &visible, ledger, place),
                false => Ok(()),
            }))
        });
        looked.map_err(|error| broken(&error))?.map_err(|violation| Violation {
            found: format!("phone {} of user{}: {}", place.0, place.1, violation.found),
            ..violation
        })
    }

    /// Whether the database of a phone's user is damaged, or the phone does not know any more whose it is.
    #[must_use]
    pub fn is_damaged(&self, device: usize) -> bool {
        let of_phone = self.ledger.known.iter().filter(|(place, _)| place.0 == device);
        of_phone.into_iter().any(|(_, known)| known.damage == Standing::Damaged)
    }
}
