//! Callers who go away while a transaction begins: the session that they leave is as good as new.

use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;

use sqlx::{PgConnection, Row as _};
use sync_server::store::Store as _;

use crate::setting::{Setting, stream};

/// More steps than a transaction takes to begin.
const STEPS_MAX: usize = 64;
/// Sessions of a pool: as many readers at once use each of them again.
const SESSIONS: usize = 20;

/// Polls a future so often, with a pause for the answer after each, and drops it; whether it ended.
async fn leave_after<T>(steps: usize, future: impl Future<Output = T>) -> bool {
    let mut future = Box::pin(future);
    for _ in 0..steps {
        let mut context = Context::from_waker(Waker::noop());
        if future.as_mut().poll(&mut context).is_ready() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    false
}

/// Sessions of the server that sit in a transaction, with what they did last.
async fn left_behind(superuser: &mut PgConnection) -> Vec<String> {
    let question = "SELECT state || ': ' || query FROM pg_stat_activity \
                    WHERE datname = current_database() AND usename = 'campo_server' \
                    AND state LIKE 'idle in transaction%'";
    let mut found = Vec::new();
    // What was dropped is rolled back a moment later.
    for _ in 0..200 {
        let rows = sqlx::query(question).fetch_all(&mut *superuser).await.expect("sessions");
        found = rows.iter().map(|row| row.get::<String, _>(0)).collect();
        if found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    found
}

/// Whoever comes next finds every session of the pool in order.
async fn others_work(setting: &Setting) {
    let mut held = Vec::new();
    for _ in 0..SESSIONS {
        held.push(setting.store.read(setting.tenant).await.expect("a reader begins"));
    }
    drop(held);
    for n in 0..SESSIONS {
        let tx = setting.store.write(setting.tenant, stream(n as u128)).await;
        tx.expect("a writer begins").commit().await.expect("commit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_at_any_step_of_a_beginning_leaves_no_transaction() {
    let setting = Setting::new().await;
    let mut superuser = setting.superuser().await;
    let mut ended = [false; 2];
    for steps in 1..STEPS_MAX {
        ended = [
            leave_after(steps, setting.store.read(setting.tenant)).await,
            leave_after(steps, setting.store.write(setting.tenant, stream(1))).await,
        ];
        assert_eq!(left_behind(&mut superuser).await, [""; 0], "after {steps} steps");
        others_work(&setting).await;
        if ended == [true; 2] {
            break;
        }
    }
    assert_eq!(ended, [true; 2], "every step was tried");
}
