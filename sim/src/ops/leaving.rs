//! Phones are given away or set back: what only they have is exported, they are wiped, or their folder is put back
//! from an older backup.

use mobile_core::CoreError;

use super::session::login;
use super::sync::to_the_end;
use crate::operation;
use crate::oracle::leaving::{self, Backup};
use crate::oracle::photos::phone::seen;
use crate::oracle::{Checked, violated};
use crate::registry::Operation;
use crate::rng::Rng;
use crate::world::{World, broken};

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("export", 2, exports),
    operation!("wipe the phone", 2, wipes),
    operation!("the phone is backed up", 3, backs_up),
    operation!("an older folder is put back", 2, puts_back),
];

/// Attempts to wipe a phone: one that is refused, one after the export, and such as die at a fault point.
const WIPES_MAX: usize = 5;

/// A phone of which something can be said: nothing is under way, and its files are as they were written.
async fn sound_phone(world: &mut World, rng: &mut Rng) -> Option<usize> {
    let device = rng.below(world.devices.len());
    world.devices[device].give_up().await;
    (!world.is_damaged(device)).then_some(device)
}

async fn exports(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(device) = sound_phone(world, rng).await else { return Ok(()) };
    export(world, device)
}

/// What only this phone has goes into a file, with its pictures beside it.
fn export(world: &mut World, device: usize) -> Checked {
    let document = world.new_file(&format!("export-{device}.json"));
    let core = world.devices[device].core().clone();
    let exported = core.export(&document).map_err(|error| broken(&error))?;
    world.tell(format!(
        "phone {device}: exported {} edits and {} pictures",
        exported.transactions, exported.photos
    ));
    world.ledger.exports.read(&document)?;
    if world.user_of(device).is_some() {
        let receipts = core.receipts().map_err(|error| broken(&error))?;
        let engine = core.engine().map_err(|error| broken(&error))?;
        let pictures = engine.store().read(|db| Ok(seen(db)?)).map_err(|error| broken(&error))?;
        leaving::is_exported(&world.ledger.exports, &receipts, &pictures)?;
    }
    world.look_at(device)
}

/// Everybody's data goes from a phone. Where something is only there, it does not, until that is exported.
async fn wipes(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(device) = sound_phone(world, rng).await else { return Ok(()) };
    let (exported, user) = (rng.percent(50), world.user_of(device));
    for _ in 0..WIPES_MAX {
        world.tell(format!("phone {device}: is to be wiped"));
        world.ledger.wiping = Some(device);
        world.devices[device].begin_wipe();
        to_the_end(world, rng, device, false).await?;
        let wiped = world.devices[device].wiped();
        if wiped.is_some() {
            world.ledger.wiping = None;
        }
        match wiped {
            Some(Ok(())) => {
                world.tell(format!("phone {device}: wiped"));
                world.note("wipe: done");
                let (schema, server) = (world.schema(), world.snapshot());
                leaving::wiped(&mut world.ledger, device, &schema, &server)?;
                return somebody_signs_in(world, rng, device, user).await;
            }
            Some(Err(CoreError::Unsent { count, .. })) => {
                world.tell(format!("phone {device}: {count} are only here"));
                world.note("wipe: refused");
                world.look_at(device)?;
                if !exported {
                    return Ok(());
                }
                export(world, device)?;
            }
            Some(Err(error)) => return Err(broken(&error)),
            // It died in the middle: the next one goes on.
            None => {}
        }
    }
    world.ledger.wiping = None;
    violated("what is exported can be wiped", format!("phone {device}"))
}

async fn backs_up(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(device) = sound_phone(world, rng).await else { return Ok(()) };
    world.tell(format!("phone {device}: backed up"));
    world.devices[device].back_up().await;
    let backup = Backup::of(&world.ledger, device);
    world.ledger.backups.insert(device, backup);
    Ok(())
}

/// The phone goes on in ignorance of what it made and heard since its backup.
async fn puts_back(world: &mut World, rng: &mut Rng) -> Checked {
    let backed_up: Vec<usize> = world.ledger.backups.keys().copied().collect();
    let Some(device) = rng.pick(&backed_up).copied() else { return Ok(()) };
    world.devices[device].give_up().await;
    if world.is_damaged(device) {
        return Ok(());
    }
    let Some(backup) = world.ledger.backups.remove(&device) else { return Ok(()) };
    world.tell(format!("phone {device}: an older folder is put back"));
    world.note("backup: put back");
    let user = world.user_of(device);
    world.devices[device].put_back().await;
    backup.put_back(&mut world.ledger, device);
    world.look_at(device)?;
    somebody_signs_in(world, rng, device, user).await
}

/// Mostly whoever used the phone goes on with it: a wiped one knows nobody, and the session of an older folder may
/// have ended since.
async fn somebody_signs_in(
    world: &mut World,
    rng: &mut Rng,
    device: usize,
    user: Option<usize>,
) -> Checked {
    let person = user.unwrap_or(device % world.people.len());
    if rng.percent(80) { login(world, rng, device, person, true).await } else { Ok(()) }
}
