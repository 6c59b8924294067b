//! Photos from outside: what a device and others ask of a server, over the wire. Each case is a function of
//! a [`World`]; the list at the end of this file runs each on SQLite and on a private PostgreSQL.

mod access;
mod arriving;
mod commands;
#[path = "../http/company.rs"]
#[allow(dead_code, reason = "the tests of HTTP use all of it")]
mod company;
mod conformance;
mod content;
mod downloads;
#[path = "../fresh/mod.rs"]
mod fresh;
mod missing;
#[path = "../http/samples.rs"]
#[allow(dead_code, reason = "the tests of HTTP use all of it")]
mod samples;
mod shot;
#[macro_use]
#[path = "../http/suite.rs"]
mod suite;
mod tidy;
#[path = "../http/world.rs"]
#[allow(dead_code, reason = "the tests of HTTP use all of it")]
mod world;

use world::World;

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
        an_upload_that_is_given_up_is_gone,
        a_proxy_may_let_only_post_through,
        every_answer_about_uploads_says_which_tus;
    access: only_who_sees_the_record_has_to_do_with_its_photo,
        who_may_only_read_sends_nothing,
        an_upload_does_not_outlive_its_grant,
        a_colleague_spoils_nobodys_upload,
        a_known_hash_gives_nobody_bytes,
        a_record_cannot_be_pointed_at_another_photo,
        a_deleted_record_has_no_photo,
        what_is_no_photo_collection_has_no_photos,
        what_has_photos_is_deleted_after_them;
    content: other_bytes_than_the_records_are_not_kept,
        what_is_no_picture_is_refused_also_with_the_right_hash,
        a_decompression_bomb_is_refused,
        a_picture_has_so_many_pixels,
        a_picture_has_the_size_that_its_record_says,
        a_company_has_so_much_room;
    downloads: a_photo_is_kept_by_who_has_it,
        a_picture_without_its_thumbnail_can_be_seen,
        a_part_of_a_photo_can_be_had;
    missing: what_has_not_come_is_listed_with_who_is_to_send_it,
        what_was_lost_is_asked_for_again,
        what_rotted_is_not_taken_for_the_photo,
        a_spoiled_photo_goes_before_its_record,
        what_an_older_database_does_not_know_is_found,
        a_wrong_place_is_no_loss;
    commands: support_sees_what_is_missing_and_asks_for_what_was_lost,
        much_is_not_given_up_unasked;
    tidy: an_upload_that_nobody_touches_is_given_up,
        photos_of_records_that_are_long_deleted_go_and_no_others;
}
