//! Runs each case, a function of a `World`, on SQLite and on a private PostgreSQL.

macro_rules! suite {
    ($($module:ident: $($case:ident),+ $(,)?;)+) => {
        mod on_sqlite {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::$module::$case(crate::World::on_sqlite().await).await;
                })+
            })+
        }
        mod on_postgres {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let world = crate::World::on_postgres().await;
                    crate::$module::$case(world).await;
                })+
            })+
        }
    };
}
