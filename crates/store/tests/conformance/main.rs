//! The behaviour of every store, on each of them: a file of SQLite, a server of PostgreSQL, and the
//! same server behind `PgBouncer` in transaction mode.

mod administered;
mod behaviour;
mod copy;
mod crash;
mod cut;
mod growth;
mod holds;
mod locks;
mod requests;
mod retention;
mod schema;
mod tls;
mod world;

/// Runs every test on every store.
macro_rules! on_every_store {
    ($($file:ident::$test:ident,)*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::$file::$test(crate::world::World::sqlite()).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::$file::$test(crate::world::World::postgres().await).await;
                }
            )*
        }

        mod pgbouncer {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::$file::$test(crate::world::World::pgbouncer().await).await;
                }
            )*
        }
    };
}

on_every_store! {
    behaviour::rows_of_every_kind_are_loaded_as_they_were_saved,
    behaviour::a_batch_that_a_guard_stops_saves_nothing,
    behaviour::a_batch_that_panics_saves_nothing_and_the_next_one_works,
    behaviour::a_row_that_is_already_there_is_a_guard,
    behaviour::an_update_of_a_row_that_is_gone_saves_nothing,
    behaviour::pages_go_forth_and_back_without_a_gap,
    behaviour::what_is_posted_adds_up,
    behaviour::due_work_comes_longest_due_first,
    behaviour::what_waits_is_counted,
    behaviour::deliveries_of_one_subject_wait_for_each_other,
    behaviour::what_is_told_of_a_payment_waits_for_what_is_told_of_asking_for_it,
    behaviour::a_delivery_keeps_its_text,
    behaviour::names_that_ran_out_are_forgotten,
    behaviour::accounts_and_keys_are_kept,
    behaviour::queries_about_nothing_find_nothing,
    behaviour::a_probe_commits_and_changes_no_row,
    holds::holds_are_found_as_they_were_saved,
    holds::a_dispute_that_is_told_twice_at_once_is_held_once,
    holds::sums_that_holds_do_not_explain_are_noticed,
    requests::a_request_is_begun_once_and_its_answer_repeated,
    requests::a_request_is_taken_over_when_its_lease_ran_out,
    requests::an_abandoned_request_goes_on_at_once,
    requests::answers_that_ran_out_are_forgotten,
    requests::requests_that_come_at_once_are_begun_once,
    requests::a_key_is_made_once_under_a_name,
    requests::keys_made_at_once_under_a_name_are_one,
    requests::a_replay_is_told_once_under_a_name,
    requests::a_name_that_ran_out_is_taken_over,
    requests::a_payment_settles_when_somebody_says_so,
    requests::the_first_visit_is_noted,
    requests::lists_are_filtered,
    requests::invoices_of_a_span_run_by_the_time_of_asking,
    retention::events_of_what_is_finished_are_forgotten_and_counted,
    retention::checkouts_and_invoices_keep_their_events_until_they_are_finished,
    retention::lists_go_on_behind_an_event_that_is_forgotten,
    retention::what_is_still_to_be_told_is_kept,
    retention::deliveries_go_with_their_attempts_and_bodies,
    retention::several_prune_at_once_while_others_work,
    administered::provider_accounts_are_kept_with_their_history,
    administered::provider_accounts_are_listed_without_the_deleted_ones,
    administered::a_provider_account_without_secrets_is_a_guard,
    administered::switches_stop_one_account_or_everyone_in_one_mode,
    administered::a_switch_that_many_throw_at_once_is_thrown_once,
    administered::what_is_told_of_them_is_delivered_and_then_forgotten,
}

/// Runs every test on PostgreSQL, without and with `PgBouncer`.
macro_rules! where_rows_are_locked {
    ($($test:ident,)*) => {
        mod locked_rows {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::locks::$test(crate::world::World::postgres().await).await;
                }
            )*

            mod pgbouncer {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $test() {
                        crate::locks::$test(crate::world::World::pgbouncer().await).await;
                    }
                )*
            }
        }
    };
}

where_rows_are_locked! {
    a_locked_row_is_left_out_and_does_not_look_free,
    what_a_locked_row_is_reached_by_is_locked_too,
    a_batch_waits_a_moment_for_a_row_and_then_goes_on_without_it,
    a_batch_that_knows_of_no_locked_rows_does_not_run_without_them,
}
