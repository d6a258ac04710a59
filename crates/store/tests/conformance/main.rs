//! What every store does, on each of them: a file of SQLite, a server of PostgreSQL, and the same
//! through statements that keep nothing in a session, as `PgBouncer` needs it.

mod behaviour;
mod crash;
mod schema;
mod world;

/// Runs every test on every store.
macro_rules! on_every_store {
    ($($(#[$doc:meta])* $test:ident,)*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::behaviour::$test(crate::world::World::sqlite()).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::behaviour::$test(crate::world::World::postgres("").await).await;
                }
            )*
        }

        mod pgbouncer {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let world = crate::world::World::postgres("&pgbouncer=true").await;
                    crate::behaviour::$test(world).await;
                }
            )*
        }
    };
}

on_every_store! {
    rows_of_every_kind_are_loaded_as_they_were_saved,
    a_batch_that_a_guard_stops_saves_nothing,
    a_batch_that_panics_saves_nothing_and_the_next_one_works,
    a_row_that_is_already_there_is_a_guard,
    an_update_of_a_row_that_is_gone_saves_nothing,
    pages_go_forth_and_back_without_a_gap,
    what_is_posted_adds_up,
    due_work_comes_longest_due_first,
    deliveries_of_one_subject_wait_for_each_other,
    a_delivery_keeps_its_text,
    names_that_ran_out_are_forgotten,
    accounts_and_keys_are_kept,
    queries_about_nothing_find_nothing,
}
