//! A device that listens: what somebody else changes is in its live query, without its timer.

use std::sync::Arc;
use std::time::Duration;

use mobile_core::clock::SystemClock;
use mobile_core::core::Connect;
use mobile_core::query::LiveQuery;
use mobile_core::sync::Engine;
use mobile_core::{Config, Core};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::on_both_databases;
use crate::own_pauses::OwnPauses;
use crate::quiet::failing;
use crate::site::{Phone, Site, sign_in};

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A phone whose loop runs.
struct Running {
    core: Core,
    engine: Arc<Engine>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(
        site: &Site,
        login: &str,
        divided_by: Option<u32>,
        connect: Option<Arc<Connect>>,
    ) -> Self {
        let mut config = Config::new(site.dir("running"));
        // One pause lasts so much less; none ends without it.
        config.clock = OwnPauses::new(Arc::new(SystemClock::new()), move |duration| async move {
            match divided_by {
                Some(by) => tokio::time::sleep(duration / by).await,
                None => std::future::pending().await,
            }
        });
        if let Some(connect) = connect {
            config.connect = connect;
        }
        let core = Core::open(config).expect("a phone");
        core.login(sign_in(site, login)).await.expect("the password is right");
        let engine = core.engine().expect("signed in");
        let cancel = CancellationToken::new();
        let task = tokio::spawn({
            let (engine, cancel) = (Arc::clone(&engine), cancel.clone());
            async move { engine.run(&cancel).await }
        });
        Self { core, engine, cancel, task }
    }

    async fn listens(&self, expected: bool) {
        let mut live = self.engine.listening();
        let waited = tokio::time::timeout(PATIENCE, live.wait_for(|live| *live == expected));
        waited.await.expect("in time").expect("the engine lives");
    }

    fn name(&self) -> String {
        let rows = self.core.query("SELECT nombre FROM proyectos", &[]).expect("it runs").rows;
        rows.first().map(|row| row[0].to_string()).unwrap_or_default()
    }

    async fn shows(&self, live: &mut LiveQuery, name: &str) {
        let shown = async {
            while self.name() != format!("\"{name}\"") {
                assert!(live.changed().await);
            }
        };
        tokio::time::timeout(PATIENCE, shown).await.unwrap_or_else(|_| {
            panic!("{name} did not come, but {}", self.name());
        });
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.expect("the loop ends");
    }
}

async fn two(site: &Site) -> (Phone, sync_protocol::RecordId, sync_protocol::UserId) {
    site.person("juan", &["foreman"]).await;
    let ana = site.person("ana", &["foreman"]).await;
    let juan = site.phone("juan").await;
    let project = juan.put("proyectos", json!({ "nombre": "Torre" }));
    juan.sync().await;
    (juan, project, ana)
}

/// Watches the projects, as soon as the first round has brought their table.
async fn watch(running: &Running) -> LiveQuery {
    let watched = async {
        loop {
            match running.core.watch("SELECT nombre FROM proyectos") {
                Ok(live) => return live,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.expect("the first round goes well")
}

async fn rename(juan: &Phone, project: sync_protocol::RecordId, name: &str) {
    juan.put("proyectos", json!({ "id": project, "nombre": name }));
    juan.sync().await;
}

on_both_databases!(what_another_changes_comes_by_an_event_alone);
async fn what_another_changes_comes_by_an_event_alone(site: Site) {
    let (juan, project, user) = two(&site).await;
    // Its pauses never end: only an event begins another round.
    let ana = Running::start(&site, "ana", None, None).await;
    ana.listens(true).await;
    let mut live = watch(&ana).await;
    site.grant(user, project).await;
    ana.shows(&mut live, "Torre").await;
    for n in 0..3 {
        rename(&juan, project, &format!("Torre {n}")).await;
        ana.shows(&mut live, &format!("Torre {n}")).await;
    }
    // In the background and without a network nobody listens; coming back it hears what it missed.
    ana.engine.set_foreground(false);
    ana.listens(false).await;
    rename(&juan, project, "Torre Norte").await;
    ana.engine.set_foreground(true);
    ana.shows(&mut live, "Torre Norte").await;
    ana.listens(true).await;
    ana.engine.set_network(Some(false));
    ana.listens(false).await;
    ana.engine.set_network(Some(true));
    ana.listens(true).await;
    // Signed out, nobody listens.
    ana.core.logout().await.expect("nothing is unsent");
    ana.listens(false).await;
    ana.stop().await;
}

on_both_databases!(without_events_the_timer_does_it);
async fn without_events_the_timer_does_it(site: Site) {
    let (juan, project, user) = two(&site).await;
    site.grant(user, project).await;
    // A minute lasts a fifth of a second.
    let ana = Running::start(&site, "ana", Some(300), Some(failing())).await;
    let mut live = watch(&ana).await;
    ana.shows(&mut live, "Torre").await;
    for n in 0..3 {
        rename(&juan, project, &format!("Torre {n}")).await;
        ana.shows(&mut live, &format!("Torre {n}")).await;
        assert!(!*ana.engine.listening().borrow());
    }
    ana.stop().await;
}
