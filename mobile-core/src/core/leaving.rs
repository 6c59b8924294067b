//! Leaving a device: sessions end, data goes, and work that exists nowhere else does not.

use std::path::Path;
use std::sync::Arc;

use sync_protocol::{TenantId, UserId};

use super::{Core, lock};
use crate::CoreError;
use crate::export::{self, Exported};
use crate::outbox::unsent;
use crate::store::meta::{self, name};
use crate::store::registry::{self, DataFile, Person, Registry};
use crate::store::{Store, aside, wipe};
use crate::sync::Engine;

impl Core {
    /// Ends the active person's session and wipes their data from this device.
    ///
    /// # Errors
    /// [`CoreError::Unsent`] while there is work that only this device has and no export has saved, and
    /// [`CoreError::SetAside`] while it may be in a damaged database: then nothing has happened.
    /// [`CoreError::SignedOut`]; those of files and the database.
    pub async fn logout(&self) -> Result<(), CoreError> {
        let (engine, person) = self.active()?;
        self.nothing_is_only_aside(|file| file.is_of(&person))?;
        // Emptied before the file goes: whoever has it open must not write into a file that is gone.
        let emptied = engine.end_session(wipe::empty).await;
        emptied.map_err(|error| named(error, &person.display_name))?;
        self.remove((person.tenant, person.user), engine)
    }

    /// Ends the active person's session. Their data and unsent edits stay for their next login.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`]; those of files and the database.
    pub async fn logout_keeping_data(&self) -> Result<(), CoreError> {
        let (engine, _) = self.active()?;
        let forget = |store: &Store| store.write(|db| meta::remove(db, name::SESSION));
        engine.end_session(forget).await?;
        self.leave(|registry| registry.active = None)
    }

    /// Wipes the data of everybody who used this device. Sessions end at the server as far as it can be
    /// reached.
    ///
    /// # Errors
    /// [`CoreError::Unsent`] while anybody has work that only this device has and no export has saved,
    /// [`CoreError::SetAside`] while it may be in a damaged database, and whatever keeps a database from
    /// being opened: then nothing has happened. Everybody is asked before anything goes; somebody who makes
    /// an edit in between keeps their data ([`CoreError::Unsent`] again), and who was wiped before them is
    /// wiped. Those of files and the database end it in the middle as well; the next wipe goes on.
    pub async fn wipe(&self) -> Result<Vec<Person>, CoreError> {
        self.nothing_is_only_aside(|_| true)?;
        let registry = lock(&self.registry).clone();
        let mut known: Vec<(Person, Arc<Engine>)> = Vec::new();
        let mut strangers: Vec<(DataFile, Store)> = Vec::new();
        for file in registry::data_files(&self.config.dir)? {
            if file.path != registry::database(&self.config.dir, file.tenant, file.user) {
                continue;
            }
            let person = registry.people.iter().find(|person| file.is_of(person));
            if let Some(person) = person {
                let engine = match &registry.active {
                    Some(active) if active == person => self.engine()?,
                    _ => self.engine_for(&registry, person)?,
                };
                nothing_is_unsent(engine.store(), &person.display_name)?;
                known.push((person.clone(), engine));
            } else {
                // Of somebody whose login or wipe was cut: only the file knows of them.
                let store = Store::open(&file.path)?;
                nothing_is_unsent(&store, &file.user.to_string())?;
                strangers.push((file, store));
            }
        }
        for (file, store) in strangers {
            wipe::empty(&store).map_err(|error| named(error, &file.user.to_string()))?;
            self.remove((file.tenant, file.user), store)?;
        }
        let mut wiped = Vec::new();
        for (person, engine) in known {
            let emptied = engine.end_session(wipe::empty).await;
            emptied.map_err(|error| named(error, &person.display_name))?;
            self.remove((person.tenant, person.user), engine)?;
            wiped.push(person);
        }
        // What is left are copies of what was damaged, of people who have nothing else here.
        for file in aside::list(&self.config.dir)? {
            registry::remove(&self.config.dir, file.tenant, file.user)?;
        }
        registry::remove_photos_left(&self.config.dir)?;
        self.leave(|registry| registry.people.clear())?;
        Ok(wiped)
    }

    /// Writes what only this device has, of everybody, into a file that support can read. What is in it
    /// may be wiped afterwards.
    ///
    /// # Errors
    /// As [`export::unsent`].
    pub fn export(&self, to: &Path) -> Result<Exported, CoreError> {
        let registry = lock(&self.registry).clone();
        export::unsent(&self.config.dir, &registry, self.config.clock.as_ref(), to)
    }

    fn nothing_is_only_aside(&self, whose: impl FnMut(&DataFile) -> bool) -> Result<(), CoreError> {
        let mut aside = aside::unexported(&self.config.dir)?;
        aside.retain(whose);
        if aside.is_empty() {
            return Ok(());
        }
        let files = aside.iter().map(|file| file.path.display().to_string()).collect();
        Err(CoreError::SetAside { files })
    }

    fn active(&self) -> Result<(Arc<Engine>, Person), CoreError> {
        let person = lock(&self.registry).active.clone();
        Ok((self.engine()?, person.ok_or(CoreError::SignedOut)?))
    }

    /// Removes the files of somebody whose database, `open` here, is empty. Then they are forgotten: if
    /// this is cut, the device still knows of them.
    fn remove(
        &self,
        (tenant, user): (TenantId, UserId),
        open: impl Sized,
    ) -> Result<(), CoreError> {
        let mut registry = lock(&self.registry);
        let is_theirs = |person: &Person| (person.tenant, person.user) == (tenant, user);
        if registry.active.as_ref().is_some_and(is_theirs) {
            *lock(&self.engine) = None;
        }
        drop(open);
        registry::remove(&self.config.dir, tenant, user)?;
        let mut next = registry.clone();
        next.forget(tenant, user);
        next.save(&self.config.dir)?;
        *registry = next;
        Ok(())
    }

    /// Changes the registry; nobody is active if the active one has gone.
    fn leave(&self, change: impl FnOnce(&mut Registry)) -> Result<(), CoreError> {
        let mut registry = lock(&self.registry);
        let mut next = registry.clone();
        change(&mut next);
        if next.active.as_ref().is_some_and(|active| !next.people.contains(active)) {
            next.active = None;
        }
        next.save(&self.config.dir)?;
        let gone = next.active.is_none();
        *registry = next;
        if gone {
            *lock(&self.engine) = None;
        }
        Ok(())
    }
}

fn nothing_is_unsent(store: &Store, person: &str) -> Result<(), CoreError> {
    match store.read(unsent::unsaved)? {
        0 => Ok(()),
        count => Err(CoreError::Unsent { count, person: person.to_owned() }),
    }
}

/// An edit came in between: the error says whose.
fn named(error: CoreError, person: &str) -> CoreError {
    match error {
        CoreError::Unsent { count, .. } => CoreError::Unsent { count, person: person.to_owned() },
        other => other,
    }
}
