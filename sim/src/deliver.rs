//! A request reaches the server, whole or half, and the oracle looks at what it changed and what it was answered.

use std::sync::Arc;

use mobile_core::transport::exchange::Request;

use crate::oracle::ledger::{Page, Place};
use crate::oracle::photos::server as pictures;
use crate::oracle::snapshot::Snapshot;
use crate::oracle::{Checked, Violation, conservation, parents, retention, violated, visibility};
use crate::server::Response;
use crate::wire;
use crate::world::World;

/// The answer where the object store fails.
const STORAGE_FAILED: u16 = 507;

impl World {
    /// A request reaches the server.
    ///
    /// # Errors
    /// What the oracle finds.
    pub async fn deliver(
        &mut self,
        device: usize,
        request: &Request,
    ) -> Result<Option<Response>, Violation> {
        self.counts.requests += 1;
        let before = self.snapshot();
        let now_us = self.server_now_us();
        let paged = self.page_rows.filter(|_| request.path == "sync/pull");
        let paged = paged.map(|rows| wire::with_page_rows(request, rows));
        let request = paged.as_ref().unwrap_or(request);
        let shelf_before = pictures::Before::look(&self.server.shelf, request);
        let response = self.server.answer(request).await;
        let died = self.bury_server().await;
        let after = self.snapshot();
        let is_storage = response.status == STORAGE_FAILED
            && self.server.shelf.is_failing()
            && pictures::about(request) != pictures::About::Else;
        if response.status >= 500 && !died && !is_storage {
            let text = wire::text(&response);
            return violated("the server does not fail", format!("{}: {text}", request.path));
        }
        let asks = wire::bearer(request);
        let person = asks.and_then(|user| self.people.iter().position(|p| p.id == user));
        if (response.status == 200 || died)
            && let Some(person) = person
        {
            if request.path == "sync/push" {
                let asked = wire::push(request);
                conservation::as_made(&self.ledger, &asked)?;
                let answer = match died {
                    true => wire::answer_that_never_came(&asked, &after),
                    false => wire::push_answer(&response),
                };
                let found = self.judge.pushed(
                    &self.server.schema,
                    (self.people[person].id, &asked),
                    &answer,
                    (&before, &after),
                    now_us,
                )?;
                self.ledger.streams.pushed(&asked, &before, &after)?;
                retention::brought_back(&self.schema(), (&asked, &answer), (&before, &after))?;
                self.seen.extend(found);
            } else if request.path == "sync/pull" && !died {
                self.pulled((device, person), request, &response, &after)?;
            }
        }
        if request.path != "sync/push" {
            let answer = Some(&response).filter(|_| !died);
            self.sent_a_picture((request, answer), (&before, &after, &shelf_before))?;
        } else if response.status == 200 || died {
            pictures::flagged(&self.schema(), &wire::push(request), &before, &after)?;
        }
        if before.rows != after.rows {
            parents::check(&self.server.schema, &after)?;
        }
        self.ledger.deletions.wrote(&before, &after, now_us);
        conservation::on_server(&self.ledger, &after)?;
        Ok((!died).then_some(response))
    }

    /// Half of a request reaches the server.
    ///
    /// # Errors
    /// When it has any effect, besides that what came of a picture is kept.
    pub async fn deliver_half(&mut self, request: &Request, bytes: usize) -> Checked {
        let before = self.snapshot();
        let shelf_before = pictures::Before::look(&self.server.shelf, request);
        let response = self.server.answer_to_half(request, bytes).await;
        let died = self.bury_server().await;
        let after = self.snapshot();
        if pictures::about(request) != pictures::About::Else {
            let answer = Some(&response).filter(|_| !died);
            return self.sent_a_picture((request, answer), (&before, &after, &shelf_before));
        }
        if died {
            return Ok(());
        }
        if response.status < 400 || response.status >= 500 {
            let found = format!("{}: {}", request.path, response.status);
            return violated("half a request is refused", found);
        }
        if after.commit != before.commit {
            return violated("half a request changes nothing", request.path.clone());
        }
        Ok(())
    }

    /// A request that is no push was answered (or the server died): rows change only with what they say of
    /// pictures.
    fn sent_a_picture(
        &mut self,
        (request, answer): (&Request, Option<&Response>),
        (before, after, shelf_before): (&Snapshot, &Snapshot, &pictures::Before),
    ) -> Checked {
        let (schema, shelf, now_us) = (self.schema(), &self.server.shelf, self.server_now_us());
        let asks = wire::bearer(request);
        let person = asks.and_then(|user| self.people.iter().find(|p| p.id == user));
        pictures::answered(
            (&schema, shelf),
            &mut self.ledger,
            person.map(|person| (person.id, person.role)),
            (request, answer),
            (before, after, shelf_before),
            now_us,
        )?;
        self.judge.wrote(before, after);
        pictures::shelf(&schema, shelf, after, &mut self.ledger)
    }

    /// Remembers the pages that left, by their cursors.
    fn pulled(
        &mut self,
        place: Place,
        request: &Request,
        response: &Response,
        now: &Arc<Snapshot>,
    ) -> Checked {
        let sees = Arc::new(visibility::of(self.people[place.1].role, &self.server.schema));
        let asked = wire::pull(request);
        let known = self.ledger.known.entry(place).or_default();
        let mut quiet = asked
            .cursor
            .as_ref()
            .and_then(|cursor| known.pages.get(cursor))
            .is_some_and(|page| page.quiet || page.checkpoint);
        for page in wire::pages(&response.body) {
            let backfill = page.part == sync_protocol::wire::pull::PagePart::Backfill;
            quiet &= !backfill && page.drops.is_empty() && page.schema.is_none();
            let checkpoint = page.checkpoint;
            visibility::of_page(&sees, &page)?;
            visibility::rows_of_page(now, self.people[place.1].id, &page)?;
            let digests = page.digests.as_ref().map_or(0, Vec::len) as u64;
            let (snapshot, sees) = (now.clone(), sees.clone());
            let left = Page { snapshot, checkpoint, quiet, sees, digests };
            known.pages.insert(page.cursor, left);
            // What is visible after a checkpoint is a new beginning.
            quiet |= checkpoint;
        }
        Ok(())
    }
}
