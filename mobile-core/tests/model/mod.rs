//! A tiny honest server in memory: it merges with the shared rules, keeps receipts, answers pulls from
//! snapshots, and loses requests, answers and the ends of streams where a test asks it to.
#![allow(dead_code, unused_imports, missing_docs, reason = "each test file uses a part of it")]

pub mod merge;
pub mod phone;
pub mod photos;
pub mod pull;
pub mod schema;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mobile_core::CoreError;
use mobile_core::clock::ManualClock;
use mobile_core::photos::PhotoName;
use mobile_core::transport::{
    Event, EventSink, OfflineReason, PageSink, ReviewRequest, Transport, TransportError,
};
use serde_json::Value as Json;
use sync_protocol::merge::RowMeta;
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::wire::auth::{LoginRequest, LogoutRequest, RefreshRequest, Session};
use sync_protocol::wire::compare::{CompareAnswer, CompareRequest};
use sync_protocol::wire::pull::PullRequest;
use sync_protocol::wire::push::{PushAnswer, PushRequest, Transaction};
use sync_protocol::wire::receipt::Receipt;
use sync_protocol::wire::review::{Conflict, ConflictList, ResolveManyAnswer, ResolveManyRequest};
use sync_protocol::{
    ConflictId, Fields, PushId, ReceiptId, RecordId, StreamId, TenantId, UserId, Value,
};
use tokio::sync::Notify;
use uuid::Uuid;

pub use phone::{Phone, copy_folder, object};
pub use schema::schema;

/// 2026-11-24, in microseconds.
pub const START_US: i64 = 1_795_500_000_000_000;

/// What goes wrong with the next exchange of its kind.
#[derive(Debug, Clone)]
pub enum Fault {
    PushNeverArrives,
    /// Somebody else answers the push.
    PushIntercepted,
    PushAnswerLost,
    /// It never arrives, but the phone cannot know.
    PushLost,
    PushFails(Box<Problem>),
    /// The phone sleeps for so many microseconds between a push or a refresh and its answer.
    AnswerLate(i64),
    PullCutAfter(usize),
    PullGarbageAfter(usize),
    /// After so many pages of a pull the line breaks, and what its user may see changes.
    RoleChangesAfter(usize),
    SessionEnded,
    RefreshFails(Box<Problem>),
    /// So many bytes of an upload arrive.
    UploadCutAfter(usize),
    UploadAnswerLost,
    UploadFails(TransportError),
}

#[derive(Debug, Clone)]
pub struct Row {
    pub fields: Fields,
    pub meta: RowMeta,
    pub commit: i64,
}

/// Collection, record, field, and who wants what.
pub type Dispute = (String, RecordId, String, Vec<(ReceiptId, Value)>);

pub struct Kept {
    pub stream: StreamId,
    /// Other streams that are told as well, each since a commit.
    pub echoes: BTreeMap<StreamId, i64>,
    pub content: Json,
    pub receipt: Receipt,
    pub commit: i64,
}

pub struct State {
    pub schema: Schema,
    pub now_us: i64,
    pub commit: i64,
    pub rows: BTreeMap<(String, RecordId), Row>,
    pub receipts: BTreeMap<ReceiptId, Kept>,
    pub replaced: BTreeMap<ReceiptId, ReceiptId>,
    /// The last push of each stream.
    pub last_push: BTreeMap<StreamId, PushId>,
    /// Value of `articulos.existencia` by commit.
    pub history: Vec<(i64, RecordId, i64)>,
    /// Open conflicts: collection, record, field, candidates.
    pub conflicts: BTreeMap<ConflictId, Dispute>,
    pub faults: VecDeque<Fault>,
    pub page_rows: usize,
    pub pushes: usize,
    pub seen: Vec<ReceiptId>,
    /// Cursors from before are useless.
    pub epoch: u32,
    /// Articles of the same name are one: an insertion is merged into the one that is there.
    pub adopt: bool,
    /// Why a cursor of an earlier epoch is useless.
    pub epoch_code: &'static str,
    /// Sessions that were handed out, and the token that is good if only the last one is.
    pub sessions: usize,
    /// Refreshes that arrived.
    pub refreshes: usize,
    pub only_token: Option<String>,
    /// Sessions that were ended.
    pub logouts: usize,
    /// Revisions that decisions were sent with.
    pub resolved: Vec<i64>,
    /// Pushes that are on the way or arrived.
    pub pushes_begun: usize,
    /// A row that somebody else holds while the next push arrives, and not longer.
    pub in_use: Option<RecordId>,
    /// What the streams of events say next.
    pub events: VecDeque<Said>,
    /// The marks that streams of events were opened with.
    pub streams: Vec<Option<String>>,
    /// Pulls that arrived.
    pub pulls: usize,
    pub uploads: photos::Uploads,
}

/// An event with its mark, or the end of the stream.
pub type Said = Result<(Event, Option<&'static str>), Option<TransportError>>;

pub struct Server(pub Mutex<State>, pub Notify);

impl Server {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(
            Mutex::new(State {
                schema: schema(),
                now_us: START_US,
                commit: 0,
                rows: BTreeMap::new(),
                receipts: BTreeMap::new(),
                replaced: BTreeMap::new(),
                last_push: BTreeMap::new(),
                history: Vec::new(),
                conflicts: BTreeMap::new(),
                faults: VecDeque::new(),
                page_rows: 1_000,
                pushes: 0,
                seen: Vec::new(),
                epoch: 0,
                adopt: false,
                epoch_code: "cursor_history_ended",
                sessions: 0,
                refreshes: 0,
                only_token: None,
                logouts: 0,
                resolved: Vec::new(),
                pushes_begun: 0,
                in_use: None,
                events: VecDeque::new(),
                streams: Vec::new(),
                pulls: 0,
                uploads: photos::Uploads::default(),
            }),
            Notify::new(),
        ))
    }

    /// Says something in the stream of events, or ends it.
    pub fn say(&self, event: Said) {
        self.with(|state| state.events.push_back(event));
        self.1.notify_one();
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().expect("no test panics inside"))
    }

    pub fn fail_next(&self, fault: Fault) {
        self.with(|state| state.faults.push_back(fault));
    }
}

impl Link {
    async fn server_spoke(&self) {
        self.server.1.notified().await;
    }
}

impl State {
    fn fault(&mut self, is_mine: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let position = self.faults.iter().position(is_mine)?;
        self.faults.remove(position)
    }
}

pub struct Link {
    pub server: Arc<Server>,
    pub clock: Arc<ManualClock>,
}

fn offline(reason: OfflineReason, maybe_sent: bool) -> TransportError {
    TransportError::Offline { reason, maybe_sent }
}

fn session(server: &Server, user: Uuid) -> Session {
    let (now_us, number) = server.with(|state| {
        state.sessions += 1;
        state.only_token = state.only_token.as_ref().map(|_| format!("access {}", state.sessions));
        (state.now_us, state.sessions)
    });
    Session {
        access_token: format!("access {number}"),
        expires_in_s: 1_000_000,
        refresh_token: format!("refresh {number}"),
        tenant: TenantId(Uuid::from_u128(1)),
        user: UserId(user),
        user_name: "Ana".into(),
        permissions: vec!["stock:read".into(), "stock:write".into()],
        server_time_us: now_us,
    }
}

#[async_trait::async_trait]
impl Transport for Link {
    async fn login(&self, request: &LoginRequest) -> Result<Session, TransportError> {
        if request.password != "secret" {
            let problem = Problem::new(401, "wrong_credentials", "Wrong name or password");
            return Err(TransportError::Problem(Box::new(problem)));
        }
        Ok(session(&self.server, Uuid::from_u128(request.user.len() as u128)))
    }

    async fn refresh(&self, _: &RefreshRequest) -> Result<Session, TransportError> {
        self.server.with(|s| s.refreshes += 1);
        // On the way: whatever else happens to the session happens now, whoever is polled first.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let mine = |f: &Fault| matches!(f, Fault::RefreshFails(_) | Fault::AnswerLate(_));
        let fault = self.server.with(|s| s.fault(mine));
        if let Some(Fault::RefreshFails(problem)) = fault {
            return Err(TransportError::Problem(problem));
        }
        let session = session(&self.server, Uuid::from_u128(3));
        if let Some(Fault::AnswerLate(us)) = fault {
            self.clock.advance(us);
            self.server.with(|s| s.now_us += us);
        }
        Ok(session)
    }

    async fn logout(&self, _: &LogoutRequest) -> Result<(), TransportError> {
        self.server.with(|s| s.logouts += 1);
        Ok(())
    }

    async fn compare(&self, _: &str, _: &CompareRequest) -> Result<CompareAnswer, TransportError> {
        // It tells no digests, so nobody compares.
        let problem = Problem::new(404, "unknown_scope", "There is no such scope");
        Err(TransportError::Problem(Box::new(problem)))
    }

    async fn push(&self, _: &str, request: &PushRequest) -> Result<PushAnswer, TransportError> {
        let fault = self.server.with(|state| {
            state.pushes_begun += 1;
            state.fault(|fault| {
                matches!(
                    fault,
                    Fault::PushNeverArrives
                        | Fault::PushIntercepted
                        | Fault::PushAnswerLost
                        | Fault::PushLost
                        | Fault::PushFails(_)
                        | Fault::AnswerLate(_)
                        | Fault::SessionEnded
                )
            })
        });
        // On the way: what the author does meanwhile is done now.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.server.with(|state| {
            match fault {
                Some(Fault::PushNeverArrives) => {
                    return Err(offline(OfflineReason::CannotConnect, false));
                }
                Some(Fault::PushIntercepted) => {
                    return Err(offline(OfflineReason::Intercepted, false));
                }
                Some(Fault::PushLost) => {
                    return Err(offline(OfflineReason::Interrupted, true));
                }
                Some(Fault::PushFails(problem)) => {
                    return Err(TransportError::Problem(problem));
                }
                Some(Fault::SessionEnded) => {
                    let problem = Problem::new(401, "token_expired", "The token has ended");
                    return Err(TransportError::SessionEnded(Box::new(problem)));
                }
                _ => {}
            }
            state.pushes += 1;
            let fatal =
                |t: &Transaction| t.mutations.iter().any(|m| m.set.values().any(|v| v == "bomba"));
            if request.transactions.iter().any(fatal) {
                let problem = Problem::new(500, "internal", "The server failed");
                return Err(TransportError::Problem(Box::new(problem)));
            }
            let answer = merge::push(state, request)?;
            match fault {
                Some(Fault::AnswerLate(us)) => {
                    self.clock.advance(us);
                    state.now_us += us;
                    Ok(answer)
                }
                Some(_) => Err(offline(OfflineReason::Interrupted, true)),
                None => Ok(answer),
            }
        })
    }

    async fn upload(
        &self,
        _: &str,
        name: &PhotoName,
        length: u64,
        first: Bytes,
    ) -> Result<u64, TransportError> {
        // On the way: what the author does meanwhile is done now.
        tokio::task::yield_now().await;
        self.server.with(|state| photos::begin(state, name, length, &first))
    }

    async fn uploaded(&self, _: &str, name: &PhotoName) -> Result<Option<u64>, TransportError> {
        self.server.with(|state| photos::offset(state, name))
    }

    async fn upload_on(
        &self,
        _: &str,
        name: &PhotoName,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, TransportError> {
        // On the way: what the author does meanwhile is done now.
        tokio::task::yield_now().await;
        self.server.with(|state| photos::append(state, name, offset, &bytes))
    }

    async fn photo(&self, _: &str, name: &PhotoName) -> Result<Vec<u8>, TransportError> {
        // On the way: who signs out meanwhile has done so.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.server.with(|state| photos::read(state, name))
    }

    async fn pull(
        &self,
        _: &str,
        request: &PullRequest,
        sink: &mut dyn PageSink,
    ) -> Result<(), CoreError> {
        // On the way: whoever else wants to run a round finds this one running.
        tokio::task::yield_now().await;
        let (pages, fault) = self.server.with(|state| {
            state.pulls += 1;
            let fault = state.fault(|fault| {
                matches!(
                    fault,
                    Fault::PullCutAfter(_)
                        | Fault::PullGarbageAfter(_)
                        | Fault::RoleChangesAfter(_)
                )
            });
            Ok::<_, TransportError>((pull::pages(state, request)?, fault))
        })?;
        for (index, mut page) in pages.into_iter().enumerate() {
            match fault {
                Some(Fault::PullCutAfter(n)) if index == n => {
                    return Err(offline(OfflineReason::Interrupted, true).into());
                }
                Some(Fault::RoleChangesAfter(n)) if index == n => {
                    self.server.with(|state| {
                        state.epoch += 1;
                        state.epoch_code = "cursor_visibility_changed";
                    });
                    return Err(offline(OfflineReason::Interrupted, true).into());
                }
                Some(Fault::PullGarbageAfter(n)) if index == n => {
                    if let Some(table) = page.tables.first_mut() {
                        table.versions.push(1);
                    } else {
                        page.cursor.clear();
                    }
                }
                _ => {}
            }
            sink.page(page).await?;
        }
        Ok(())
    }

    async fn events(
        &self,
        _: &str,
        mark: Option<&str>,
        sink: &mut dyn EventSink,
    ) -> Result<(), TransportError> {
        self.server.with(|state| state.streams.push(mark.map(str::to_owned)));
        loop {
            let next = self.server.with(|state| state.events.pop_front());
            match next {
                Some(Ok((event, mark))) => sink.event(event, mark),
                Some(Err(Some(error))) => return Err(error),
                Some(Err(None)) => return Ok(()),
                None => self.server_spoke().await,
            }
        }
    }

    async fn conflicts(&self, token: &str, _: &str) -> Result<ConflictList, TransportError> {
        tokio::task::yield_now().await;
        if self.server.with(|s| s.only_token.as_ref().is_some_and(|only| only != token)) {
            let problem = Problem::new(401, "token_expired", "The token has ended");
            return Err(TransportError::SessionEnded(Box::new(problem)));
        }
        Ok(ConflictList { conflicts: Vec::new(), next: None })
    }

    async fn conflict(&self, _: &str, id: ConflictId) -> Result<Conflict, TransportError> {
        let problem = Problem::new(404, "not_found", format!("no conflict {id}"));
        Err(TransportError::Problem(Box::new(problem)))
    }

    async fn review(
        &self,
        token: &str,
        id: ConflictId,
        request: &ReviewRequest,
    ) -> Result<Conflict, TransportError> {
        if let ReviewRequest::Resolve(request) = request {
            self.server.with(|state| state.resolved.push(request.revision));
        }
        self.conflict(token, id).await
    }

    async fn resolve_many(
        &self,
        _: &str,
        _: &ResolveManyRequest,
    ) -> Result<ResolveManyAnswer, TransportError> {
        Ok(ResolveManyAnswer { results: BTreeMap::new() })
    }
}
