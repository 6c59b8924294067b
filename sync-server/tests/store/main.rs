//! One suite of behaviour for every store. A case is a function of a [`Bench`]; the list at the end
//! of this file runs each case on each store.

mod bench;
mod model;
mod paging;
mod rows;

use bench::Bench;
use bench::sqlite;

/// Runs cases on every store: `suite! { module: case, case; module: … }`.
macro_rules! suite {
    ($($module:ident: $($case:ident),+ $(,)?;)+) => {
        mod on_sqlite {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let directory = tempfile::tempdir().expect("a directory");
                    let bench = crate::Bench::new(crate::sqlite(directory.path()).await).await;
                    crate::$module::$case(bench).await;
                })+
            })+
        }
    };
}

suite! {
    rows: an_insertion_is_version_1_with_its_writer,
        an_update_raises_the_version_and_notes_each_changed_field,
        every_type_comes_back_as_it_was_written;
}
