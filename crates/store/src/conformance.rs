//! What a store promises, as tests that every backend runs unchanged.
//!
//! A backend names a [`Factory`] and calls [`crate::store_conformance`] once in its tests.

#![expect(clippy::missing_panics_doc, reason = "tests fail by panicking")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

pub mod bots;
pub mod changes;
pub mod crowds;
pub mod erasure;
pub mod files;
pub mod imports;
pub mod jobs;
pub mod log;
pub mod many;
pub mod members;
pub mod mentions;
pub mod messages;
pub mod operations;
pub mod people;
pub mod programs;
pub mod reading;
pub mod replay;
pub mod rooms;
pub mod rules;
pub mod search;
pub mod sessions;
pub mod tail;
pub mod threads;
pub mod tokens;
pub mod users;
pub mod world;

use std::sync::Arc;

use async_trait::async_trait;
use parlor_protocol::id::RoomId;

use crate::contract::Store;

/// Replies of bots that may follow one message of a person, in every store of the suite.
pub const MAX_HOPS: u32 = 3;
/// Members that a room may have, in every store of the suite.
pub const ROOM_MEMBERS: u32 = 12;

/// Opens stores for the suite.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Opens an empty store with [`MAX_HOPS`] and [`ROOM_MEMBERS`].
    async fn open(&self) -> Box<dyn Opened>;
}

/// A store and what is behind it.
#[async_trait]
pub trait Opened: Send + Sync {
    /// Returns the store.
    fn store(&self) -> Arc<dyn Store>;

    /// Replaces the document of an event, as a program of another version may have written it.
    async fn replace_document(&self, room: RoomId, seq: u64, document: &str);

    /// Closes the store and returns every byte that it has left behind.
    async fn remains(&self) -> Vec<u8>;
}

/// Runs the suite on a backend: `store_conformance!(sqlite, SqliteFactory)` makes a module of tests.
#[macro_export]
macro_rules! store_conformance {
    ($backend:ident, $factory:expr) => {
        mod $backend {
            use super::*;

            $crate::store_conformance!(@tests $factory, bots {
                bot_is_a_user_with_settings,
                changed_bot_answers_as_its_settings_say,
                ended_bot_leaves_no_open_reply,
                removed_bot_is_asked_to_stop,
                bot_that_is_switched_off_ends_what_it_owes,
            });
            $crate::store_conformance!(@tests $factory, erasure {
                nothing_that_is_stored_tells_what_an_erased_user_was_called,
                names_that_were_stored_once_are_taken_out_of_the_log,
                what_is_held_of_someone_is_listed_for_them,
                reasons_go_with_whom_they_concern_and_who_gave_them,
            });
            $crate::store_conformance!(@tests $factory, files {
                upload_grows_part_by_part_and_each_part_is_taken_once,
                id_of_an_upload_that_has_ended_is_refused_until_its_bytes_are_gone,
                of_parts_that_come_at_once_one_is_taken,
                uploads_of_a_user_are_bounded,
                upload_is_finished_once,
                remade_file_replaces_its_parts,
                message_takes_finished_uploads_of_its_author_once,
                file_goes_with_the_text_of_its_message,
                messages_with_files_are_found_among_many_without,
                file_goes_with_the_history_and_with_the_room,
                upload_that_no_message_has_expires,
                removal_is_noted_until_it_was_done,
                removal_is_given_to_one_at_a_time,
                picture_replaces_the_one_before,
                remade_file_stays_within_what_its_owner_may_have,
                files_of_a_user_go_with_the_user,
            });
            $crate::store_conformance!(@tests $factory, jobs {
                message_queues_one_job_for_each_bot_that_it_calls,
                job_is_claimed_once_with_all_that_it_needs,
                reply_begins_once_and_ends_once,
                reply_that_had_not_begun_begins_and_ends_at_once,
                worker_that_lost_its_lease_can_write_nothing,
                lease_is_prolonged_and_given_back,
                claim_that_was_handed_over_is_no_attempt,
                longest_wait_is_that_of_a_job_that_is_due,
                bot_works_at_one_message_of_a_room_at_a_time,
                rooms_take_turns,
                job_of_a_busy_provider_is_passed_over,
                waiting_jobs_are_listed_with_their_places,
                reply_is_stopped_by_either_of_its_names,
                stopped_job_does_not_wait_for_its_next_attempt,
                checkpoint_is_seen_by_those_who_come_later,
                bots_call_each_other_until_the_chain_is_long_enough,
                answer_and_direct_room_call_a_bot,
                job_of_another_bot_or_room_is_refused,
                redaction_stops_the_replies_to_it,
            });
            $crate::store_conformance!(@tests $factory, log {
                seq_is_dense_under_concurrent_writers_and_repeats,
                duplicates_inside_one_batch_are_one_message,
                refusal_in_the_middle_of_a_batch_leaves_no_hole,
                seq_follows_the_order_of_the_batch,
                repeat_gets_the_first_answer_for_ever,
                events_are_read_after_a_position,
                stranger_can_do_nothing_in_a_private_room,
            });
            $crate::store_conformance!(@tests $factory, many {
                accounts_are_found_as_one_by_one,
                rooms_and_memberships_are_found_as_one_by_one,
                rooms_of_users_are_listed_as_one_by_one_with_their_sizes,
                events_are_read_as_room_by_room,
                texts_so_far_are_listed_as_room_by_room,
                last_seen_of_many_never_moves_back,
                many_are_one_read,
            });
            $crate::store_conformance!(@tests $factory, imports {
                nobody_sees_a_room_before_its_file_was_read,
                finished_room_is_one_like_any_other,
                part_that_is_written_again_is_written_once,
                import_that_is_taken_back_leaves_nothing,
                import_that_was_given_up_takes_nothing_more,
                large_import_is_taken_back_in_steps_between_which_others_write,
                person_of_an_import_who_is_in_another_room_stays,
                whoever_is_erased_while_a_file_is_read_ends_its_import,
                name_that_is_held_for_somebody_is_taken,
                name_that_is_taken_stops_an_import,
                reactions_are_listed_in_their_order,
            });
            $crate::store_conformance!(@tests $factory, crowds {
                members_are_found_by_name_by_role_and_by_id,
                renamed_member_is_listed_by_the_new_name,
                renamed_member_is_listed_once_by_id,
            });
            $crate::store_conformance!(@tests $factory, members {
                public_room_is_joined_once_and_a_private_one_is_hidden,
                invite_link_works_for_its_uses_and_its_time,
                moderator_brings_someone_in,
                full_room_takes_nobody,
                refused_join_does_not_use_up_the_invite,
                last_owner_stays,
                only_owners_give_roles,
                moderator_kicks_members_but_not_owners,
                ban_ends_by_itself_or_when_lifted,
                ban_ends_the_links_of_someone_who_has_left,
                mute_ends_by_itself_or_when_lifted,
                reason_is_told_and_kept_as_long_as_what_it_is_for,
                removal_is_exact_in_the_order_of_the_log,
            });
            $crate::store_conformance!(@tests $factory, mentions {
                only_members_of_that_moment_are_mentioned,
                messages_of_a_batch_have_their_own_mentions,
                room_is_mentioned_by_those_who_keep_order,
                edit_and_redaction_change_who_is_mentioned,
                finished_reply_mentions_members,
            });
            $crate::store_conformance!(@tests $factory, messages {
                message_is_read_as_it_was_announced,
                message_of_what_one_does_is_marked_everywhere,
                answer_to_another_room_is_refused,
                only_the_author_edits_a_message,
                author_or_moderator_redacts_a_message,
                redacted_text_is_nowhere_any_more,
                reactions_are_grouped_and_given_once,
                different_reactions_of_a_message_are_bounded,
                history_is_read_in_pages,
                reset_removes_all_before_it_and_the_log_goes_on,
                renamed_author_is_shown_with_the_new_name,
            });
            $crate::store_conformance!(@tests $factory, operations {
                store_proves_that_it_works,
                closed_store_has_written_what_was_queued,
                first_pinned_value_stays,
            });
            $crate::store_conformance!(@tests $factory, reading {
                counts_are_right_wherever_the_marker_is,
                marker_that_was_set_back_goes_forward_again,
                unread_is_counted_up_to_a_bound,
                level_of_notifications_is_the_members_own,
                history_is_read_around_a_position_and_a_time,
                older_texts_are_listed,
                first_words_stay_as_they_were,
                messages_are_pinned_and_unpinned,
                pins_of_a_room_are_bounded,
            });
            $crate::store_conformance!(@tests $factory, people {
                password_changes_once_and_ends_the_other_logins,
                last_administrator_stays_however_many_leave_at_once,
                administrators_who_take_each_others_rights_leave_one,
                who_cannot_log_in_is_no_administrator_to_rely_on,
                erased_account_is_nobody_and_its_name_is_free,
                departing_owner_leaves_the_room_to_who_was_there_longest,
                room_is_left_to_someone_who_can_log_in,
                messages_of_an_erased_user_are_found_and_lose_their_texts,
                former_names_are_held_for_their_owner_and_bounded,
                room_is_told_of_a_new_name,
                account_that_is_deactivated_cannot_look_after_a_room,
                personal_tokens_of_an_erased_user_say_nothing,
            });
            $crate::store_conformance!(@tests $factory, programs {
                integration_is_found_by_its_present_secret,
                integrations_of_a_room_are_bounded_and_go_with_it,
                command_has_a_name_of_its_own_in_its_room,
                answer_of_a_program_is_for_who_may_write_then,
                webhook_is_claimed_by_one_while_it_has_work,
                webhooks_of_one_maker_keep_those_of_others_not_waiting,
                event_that_is_given_up_is_kept_apart,
                integration_posts_whatever_the_settings_of_the_room_say,
                changed_webhook_is_told_by_another_turn,
                webhook_that_is_off_is_told_nothing,
                programs_work_while_their_maker_keeps_order,
                integration_begins_with_its_membership,
            });
            $crate::store_conformance!(@tests $factory, replay {
                random_histories_agree_with_the_model_and_the_log,
            });
            $crate::store_conformance!(@tests $factory, rooms {
                room_begins_with_its_owner_and_members,
                repeated_creation_gives_the_first_room,
                room_that_cannot_be_made_leaves_nothing,
                direct_room_of_the_same_people_is_one,
                room_is_found_by_id_and_by_slug,
                list_shows_only_rooms_that_the_user_may_see,
                read_marker_moves_forward_and_counts_what_others_wrote,
                members_are_listed_in_pages_by_name,
                room_is_renamed_and_archived,
                deleted_room_is_gone,
                rooms_of_one_owner_are_deleted_by_kind,
            });
            $crate::store_conformance!(@tests $factory, rules {
                owner_says_who_may_do_what_and_everyone_is_told,
                moderators_set_slow_mode_and_nothing_else,
                settings_decide_who_writes_and_invites,
                message_of_who_may_not_call_bots_calls_none,
                slow_mode_makes_members_wait_and_repeats_get_their_first_answer,
                slow_mode_is_not_escaped_by_leaving_or_by_many_at_once,
                ownership_goes_over_in_one_step,
                only_people_become_owners,
                bans_are_listed_until_they_end,
                links_are_listed_and_revoked_by_who_made_them_or_a_moderator,
                link_with_one_use_left_admits_one_of_many,
                removed_member_has_no_way_back_by_a_link_of_their_own,
            });
            $crate::store_conformance!(@tests $factory, search {
                words_are_found_whatever_their_case_and_accents,
                filters_choose_by_author_room_and_time,
                only_members_find_what_is_in_a_room,
                changed_text_is_found_as_it_is_now,
                reply_is_found_once_it_has_ended,
                pages_hold_each_answer_once,
                search_without_time_leads_on,
                search_that_finds_nothing_for_long_gets_on,
                window_that_takes_too_long_loses_nothing,
                text_of_very_many_words_is_kept_and_found,
                no_query_is_too_odd,
                muted_member_still_finds,
            });
            $crate::store_conformance!(@tests $factory, sessions {
                refresh_token_is_exchanged_for_its_successor,
                spent_token_gets_its_successor_again_within_the_grace,
                spent_token_after_the_grace_ends_the_login,
                concurrent_exchanges_spend_a_token_once,
                login_ends_when_idle_and_at_its_absolute_end,
                oldest_logins_make_room_for_a_new_one,
                logout_ends_one_login_or_all_others,
            });
            $crate::store_conformance!(@tests $factory, changes {
                changed_account_is_told,
                changed_room_and_membership_are_told,
                what_comes_and_goes_otherwise_is_told,
                talk_is_no_change,
                many_memberships_are_told_as_one,
                position_that_means_nothing_is_everything,
            });
            $crate::store_conformance!(@tests $factory, tail {
                heads_of_rooms_are_listed_without_those_that_do_not_exist,
                tail_is_read_from_where_it_stood,
            });
            $crate::store_conformance!(@tests $factory, tokens {
                token_works_until_its_owner_ends_it,
                number_of_tokens_is_bounded,
                tokens_end_with_all_logins,
                last_use_of_a_token_never_moves_back,
            });
            $crate::store_conformance!(@tests $factory, threads {
                thread_has_one_root,
                thread_that_begins_in_a_batch_has_one_root,
                thread_is_of_a_message_that_is_there,
                root_counts_its_replies,
                thread_is_read_in_pages,
                reply_of_a_bot_is_in_the_thread_of_its_question,
            });
            $crate::store_conformance!(@tests $factory, users {
                account_is_found_by_id_and_by_name_in_any_case,
                text_that_is_no_name_finds_nothing,
                taken_name_or_address_is_a_typed_conflict,
                first_admin_is_one_however_many_ask,
                credentials_are_found_by_name_or_address,
                profile_changes_only_what_is_given,
                inactive_user_has_no_login_and_no_room,
                accounts_are_listed_in_pages_by_name,
                last_seen_never_moves_back,
            });
        }
    };
    (@tests $factory:expr, $module:ident { $($test:ident,)* }) => {
        mod $module {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $crate::conformance::$module::$test(&$factory).await;
            })*
        }
    };
}
