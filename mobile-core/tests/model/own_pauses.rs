//! A clock whose pauses a test makes: how long one lasts is not for the time to say.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use mobile_core::clock::Clock;

type Pause = dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync;

/// Another clock's time, with pauses of the test's own.
pub struct OwnPauses {
    clock: Arc<dyn Clock>,
    pause: Box<Pause>,
}

impl OwnPauses {
    /// `pause` makes one from how long it was to last.
    pub fn new<P>(
        clock: Arc<dyn Clock>,
        pause: impl Fn(Duration) -> P + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        P: Future<Output = ()> + Send + 'static,
    {
        Arc::new(Self { clock, pause: Box::new(move |duration| Box::pin(pause(duration))) })
    }
}

#[async_trait::async_trait]
impl Clock for OwnPauses {
    fn wall_us(&self) -> i64 {
        self.clock.wall_us()
    }

    fn boot_us(&self) -> i64 {
        self.clock.boot_us()
    }

    fn boot_id(&self) -> String {
        self.clock.boot_id()
    }

    async fn sleep(&self, duration: Duration) {
        (self.pause)(duration).await;
    }
}
