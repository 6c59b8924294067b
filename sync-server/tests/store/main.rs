//! One suite of behaviour for every store. A case is a function of a [`Bench`]; the list at the end
//! of this file runs each case on each store.

mod accounts;
mod bench;
mod files;
#[path = "../fresh/mod.rs"]
mod fresh;
mod model;
mod paging;
mod receipts;
mod review;
mod rows;
mod tidy;
mod transactions;

use std::time::Duration;

use bench::{Bench, postgres, sqlite};

/// How old the newest witness may be on PostgreSQL, with some margin.
const POSTGRES_WITNESS_AGE: Duration = Duration::from_millis(600);

/// Runs each case on both stores.
macro_rules! suite {
    ($($module:ident: $($case:ident),+ $(,)?;)+) => {
        mod on_sqlite {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let directory = tempfile::tempdir().expect("a directory");
                    let store = crate::sqlite(directory.path()).await;
                    let bench = crate::Bench::new(store, std::time::Duration::ZERO).await;
                    crate::$module::$case(bench).await;
                })+
            })+
        }
        mod on_postgres {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let store = crate::postgres().await;
                    let bench = crate::Bench::new(store, crate::POSTGRES_WITNESS_AGE).await;
                    crate::$module::$case(bench).await;
                })+
            })+
        }
    };
}

suite! {
    rows: an_insertion_is_version_1_with_its_writer,
        an_update_raises_the_version_and_notes_each_changed_field,
        every_type_comes_back_as_it_was_written,
        a_deletion_leaves_a_tombstone_that_a_restoration_brings_back,
        a_used_id_is_refused_also_after_its_deletion,
        broken_constraints_tell_their_kind,
        rows_of_one_batch_may_refer_to_each_other,
        an_update_without_fields_raises_the_version,
        another_streams_change_stays_known_under_a_later_one,
        rows_are_found_by_natural_key_while_they_live,
        children_go_where_their_parent_goes,
        a_restored_child_comes_back_to_where_its_parent_is_now;
    transactions: a_dropped_transaction_changes_nothing,
        what_was_written_since_a_savepoint_can_be_undone,
        after_an_error_nothing_is_committed,
        of_concurrent_writers_no_change_is_lost,
        a_snapshot_does_not_move,
        a_tenant_sees_nothing_of_another,
        an_unknown_tenant_is_not_found;
    receipts: receipts_are_found_again,
        pages_of_receipts_bring_each_once,
        settled_brings_what_changed_since_a_position,
        a_streams_author_is_its_newest_receipts;
    accounts: names_are_taken_once,
        grants_are_told_apart_by_a_position,
        a_device_is_seen_and_revoked,
        a_refresh_token_rotates_and_forgives_a_lost_answer,
        a_token_whose_child_was_used_ends_its_family,
        a_replaced_token_or_another_device_ends_the_family,
        an_expired_or_ended_token_is_refused,
        the_signing_key_is_drawn_once;
    review: conflicts_are_listed_by_scope_status_and_time,
        open_conflicts_of_a_record_are_locked_and_changed,
        the_audit_trail_keeps_its_order;
    paging: a_delta_brings_only_what_changed_in_the_scopes_asked,
        a_row_that_left_all_scopes_or_was_deleted_is_an_exit,
        a_row_in_several_scopes_comes_once_with_those_held,
        a_moved_parent_takes_its_children_along,
        small_pages_bring_each_row_once_in_key_order,
        what_remains_of_a_backfill_shrinks_to_nothing,
        a_partial_scope_counts_up_to_its_key,
        hidden_fields_and_collections_stay_hidden,
        positions_of_this_history_are_known_and_no_others,
        a_restored_row_comes_again;
    tidy: expired_tokens_go_and_living_ones_stay,
        old_receipts_that_were_seen_lose_their_details_and_no_others,
        old_tombstones_lose_their_content_unless_somebody_decides_about_them,
        a_folded_log_adds_up_as_before;
    model: devices_that_apply_deltas_hold_what_a_backfill_brings;
}
