//! The HTTP side from outside: a server on a free port, asked over the wire. Each case is a
//! function of a [`World`]; the list at the end of this file runs each on SQLite and on a private
//! PostgreSQL.

mod bad_edits;
mod bad_requests;
mod company;
mod document;
mod endpoints;
mod events;
mod failures;
#[path = "../fresh/mod.rs"]
mod fresh;
mod issuer_keys;
mod issuers;
mod listener;
mod metrics;
mod pulls;
mod samples;
mod sessions;
#[macro_use]
mod suite;
mod tokens;
mod views;
mod world;

use world::World;

suite! {
    metrics: rows_that_differ_are_counted;
    endpoints: without_a_good_token_nothing_answers,
        ids_of_another_company_do_not_exist,
        a_permission_that_is_missing_is_named;
    sessions: a_login_gives_a_session_that_works,
        wrong_company_user_and_password_get_the_same_answer,
        a_lost_answer_to_a_refresh_logs_nobody_out,
        a_token_that_comes_again_ends_the_family,
        another_devices_refresh_token_ends_the_family,
        logout_ends_the_session_and_can_be_repeated,
        a_revoked_device_is_refused_at_its_next_request,
        guessing_is_slowed_down,
        an_administrators_command_counts_while_the_server_runs;
    bad_requests: malformed_bodies_have_codes_and_change_nothing,
        compressed_bodies_are_read_and_limited,
        bad_addresses_have_codes,
        answers_are_compressed_and_named;
    bad_edits: each_bad_edit_is_refused_with_its_code,
        a_receipt_id_with_other_content_is_refused,
        foreign_and_damaged_cursors_are_refused,
        a_key_that_comes_twice_is_refused_and_not_guessed,
        what_is_hidden_looks_like_what_does_not_exist;
    document: every_documented_operation_exists_and_answers_as_documented,
        a_decisions_results_and_refusals_are_documented,
        a_foreign_streams_refusal_is_documented;
    pulls: a_stream_of_pages_ends_at_the_checkpoint;
    events: a_move_is_told_to_those_who_hold_its_scope_and_to_nobody_else,
        a_grant_is_told_and_from_then_on_its_scope,
        rows_that_somebody_may_not_read_are_not_told_to_them,
        who_comes_back_is_told_what_moved_meanwhile,
        what_somebody_else_decides_is_told_to_the_author,
        a_stream_ends_with_its_token,
        a_stream_ends_when_its_device_is_revoked,
        a_stream_ends_when_the_server_stops,
        too_many_streams_are_refused_and_a_device_that_comes_again_is_not,
        a_quiet_stream_holds_nothing_and_is_no_stalled_client;
    views: a_view_is_what_a_phone_holds,
        a_view_needs_its_permission_and_is_noted;
    issuers: an_issuers_tokens_are_accepted_by_its_algorithm_only;
    issuer_keys: keys_at_an_address_follow_the_issuer,
        a_server_without_an_issuers_keys_does_not_start;
    failures: a_panic_is_answered_without_details_and_the_server_goes_on,
        a_request_that_takes_too_long_changes_nothing,
        more_requests_than_turns_are_told_to_come_back,
        a_broken_off_stream_gives_back_its_turn_and_connection,
        a_body_without_length_is_limited_as_well;
}
