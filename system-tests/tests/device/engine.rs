//! The sync loop as an app runs it, against a real server: what wakes it, what slows it down, what it tells.

use std::sync::Arc;
use std::time::Duration;

use mobile_core::clock::SystemClock;
use mobile_core::sync::{Engine, Phase};
use mobile_core::{Config, Core};
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::on_both_databases;
use crate::own_pauses::OwnPauses;
use crate::site::{Phone, Site, sign_in};

/// A phone whose loop runs.
struct Looping {
    core: Core,
    engine: Arc<Engine>,
    pauses: mpsc::UnboundedReceiver<Duration>,
    end_of_pause: Arc<Notify>,
    cancel: CancellationToken,
    running: JoinHandle<()>,
}

impl Looping {
    async fn start(site: &Site, login: &str) -> Self {
        let (sender, pauses) = mpsc::unbounded_channel();
        let end_of_pause = Arc::new(Notify::new());
        let clock = OwnPauses::new(Arc::new(SystemClock::new()), {
            let end_of_pause = Arc::clone(&end_of_pause);
            move |duration| {
                // Nobody listens after the test.
                let _ = sender.send(duration);
                let end_of_pause = Arc::clone(&end_of_pause);
                async move { end_of_pause.notified().await }
            }
        });
        // Rounds are counted here, so none may begin for an event.
        let config =
            Config { clock, connect: crate::quiet::silent(), ..Config::new(site.dir("looping")) };
        let core = Core::open(config).expect("a phone");
        core.login(sign_in(site, login)).await.expect("the password is right");
        let engine = core.engine().expect("signed in");
        let cancel = CancellationToken::new();
        let running = tokio::spawn({
            let (engine, cancel) = (Arc::clone(&engine), cancel.clone());
            async move { engine.run(&cancel).await }
        });
        Self { core, engine, pauses, end_of_pause, cancel, running }
    }

    /// The pause that the loop makes after the round that is running.
    async fn pause_s(&mut self) -> f64 {
        self.pauses.recv().await.expect("the loop runs").as_secs_f64()
    }
}

/// A foreman with a project, and another one who looks on.
async fn two(site: &Site) -> (Phone, sync_protocol::RecordId, Looping) {
    site.person("juan", &["foreman"]).await;
    let ana = site.person("ana", &["foreman"]).await;
    let juan = site.phone("juan").await;
    let project = juan.put("proyectos", json!({ "nombre": "Torre" }));
    juan.sync().await;
    site.grant(ana, project).await;
    let looping = Looping::start(site, "ana").await;
    (juan, project, looping)
}

on_both_databases!(anothers_edit_arrives_and_fires_what_looks_at_it);
async fn anothers_edit_arrives_and_fires_what_looks_at_it(site: Site) {
    let (juan, project, mut ana) = two(&site).await;
    assert!((ana.pause_s().await - 60.0).abs() < 1.0, "in the foreground");
    let mut live = ana.core.watch("SELECT nombre FROM proyectos").expect("it compiles");
    let mut other = ana.core.watch("SELECT resumen FROM avances").expect("it compiles");
    juan.put("proyectos", json!({ "id": project, "nombre": "Torre Norte" }));
    juan.sync().await;
    // The system tells the app, and the app the loop.
    ana.engine.set_foreground(false);
    ana.engine.set_foreground(true);
    assert!(live.changed().await);
    let rows = ana.core.query("SELECT nombre FROM proyectos", &[]).expect("it runs").rows;
    assert_eq!(rows, [[json!("Torre Norte")]]);
    ana.pause_s().await;
    let nothing = tokio::time::timeout(Duration::ZERO, other.changed()).await;
    assert!(nothing.is_err(), "nothing of what it reads has changed");
    ana.engine.set_foreground(false);
    ana.end_of_pause.notify_one();
    assert!((ana.pause_s().await - 900.0).abs() < 1.0, "in the background");
    ana.cancel.cancel();
    ana.running.await.expect("the loop ends");
}

on_both_databases!(the_network_and_a_press_end_the_waiting);
async fn the_network_and_a_press_end_the_waiting(site: Site) {
    let (juan, project, mut ana) = two(&site).await;
    ana.pause_s().await;
    ana.engine.set_network(Some(false));
    let change = json!({ "id": project, "nombre": "Torre Sur" });
    ana.core.put("proyectos", &crate::site::object(change)).expect("offline is no problem");
    // After a round that went well, an edit begins one by itself.
    let mut pauses = vec![ana.pause_s().await];
    for _ in 0..3 {
        ana.end_of_pause.notify_one();
        pauses.push(ana.pause_s().await);
    }
    for (failures, pause) in pauses.iter().enumerate() {
        let most = f64::from(2 << failures);
        assert!((most / 2.0..=most).contains(pause), "{pauses:?}");
    }
    let why = ana.core.pending().expect("list")[0].waiting_for.clone().expect("says why");
    assert_eq!(why.code, "no_network");
    // Somebody presses the button: still no network, but the pauses begin anew.
    ana.engine.kick();
    let pause = ana.pause_s().await;
    assert!((1.0..=2.0).contains(&pause), "{pause}");
    ana.engine.set_network(Some(true));
    ana.pause_s().await;
    assert!(ana.core.pending().expect("list").is_empty());
    assert!(ana.core.status().expect("status").last_failure.is_none());
    juan.sync().await;
    assert_eq!(juan.field("proyectos", project, "nombre"), "Torre Sur");
    ana.cancel.cancel();
    ana.running.await.expect("the loop ends");
}

on_both_databases!(a_round_tells_how_far_it_is_and_a_cancelled_one_leaves_all_in_order);
async fn a_round_tells_how_far_it_is_and_a_cancelled_one_leaves_all_in_order(site: Site) {
    site.person("pedro", &["warehouse_keeper"]).await;
    let pedro = site.phone("pedro").await;
    for n in 0..300 {
        pedro.put("articulos", json!({ "codigo": format!("A{n}"), "nombre": "Clavo" }));
    }
    let mut progress = pedro.core.engine().expect("signed in").progress();
    let watching = tokio::spawn(async move {
        let mut phases = Vec::new();
        let mut most_sent = 0;
        while progress.changed().await.is_ok() {
            let now = *progress.borrow_and_update();
            most_sent = most_sent.max(now.sent);
            if phases.last() != Some(&now.phase) {
                phases.push(now.phase);
            }
            if now.phase == Phase::Idle {
                return (phases, most_sent, now);
            }
        }
        (phases, most_sent, *progress.borrow())
    });
    let report = pedro.sync().await;
    let (phases, sent, last) = watching.await.expect("it watched");
    assert_eq!(phases.last(), Some(&Phase::Idle));
    assert!(phases.contains(&Phase::Pulling), "{phases:?}");
    assert_eq!((sent, last.rows, last.remaining), (300, report.rows, 0));
    // Cancelled before it begins, and in the middle: the next round goes on from there.
    let cancel = CancellationToken::new();
    cancel.cancel();
    let cancelled = pedro.core.sync(&cancel).await.expect_err("cancelled");
    assert_eq!((cancelled.code(), cancelled.retryable()), ("cancelled", true));
    let other = Phone::open(&site.dir("other"));
    other.login(&site, "pedro").await;
    let engine = other.core.engine().expect("signed in");
    let cancel = CancellationToken::new();
    let mut progress = engine.progress();
    let round = other.core.sync(&cancel);
    tokio::pin!(round);
    let cancelled = loop {
        tokio::select! {
            result = &mut round => break result,
            Ok(()) = progress.changed() => {
                if progress.borrow_and_update().phase == Phase::Pulling {
                    cancel.cancel();
                }
            }
        }
    };
    assert_eq!(cancelled.expect_err("cancelled").code(), "cancelled");
    assert!(other.core.status().expect("status").last_failure.is_none(), "that is no failure");
    // A page that is being applied when the round is cancelled holds the next one up until it is done.
    let again = loop {
        match other.core.sync(&CancellationToken::new()).await {
            Err(error) if error.code() == "already_running" => tokio::task::yield_now().await,
            other => break other,
        }
    };
    again.expect("sync");
    assert_eq!(other.core.list("articulos").expect("rows").rows.len(), 300);
}
