//! Photos from outside: what a device and others ask of a server, over the wire. Each case is a function of
//! a [`World`]; the list at the end of this file runs each on SQLite and on a private PostgreSQL.

mod arriving;
#[path = "../http/company.rs"]
#[allow(dead_code, reason = "the tests of HTTP use all of it")]
mod company;
#[path = "../fresh/mod.rs"]
mod fresh;
#[path = "../http/samples.rs"]
#[allow(dead_code, reason = "the tests of HTTP use all of it")]
mod samples;
mod shot;
#[path = "../http/world.rs"]
#[allow(dead_code, reason = "the tests of HTTP use all of it")]
mod world;

use world::World;

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

suite! {
    arriving: a_photo_comes_and_others_see_it,
        a_picture_in_the_first_request_is_stored_at_once,
        who_begins_again_goes_on,
        a_wrong_offset_is_told_the_right_one,
        two_who_send_at_one_offset_do_not_both_win,
        a_cut_leaves_what_it_brought,
        a_piece_with_a_checksum_is_kept_whole_or_not_at_all,
        more_than_was_announced_is_refused,
        headers_that_make_no_sense_have_codes,
        an_upload_that_is_given_up_is_gone;
}
