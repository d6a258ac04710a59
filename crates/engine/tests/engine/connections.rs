//! Connections to the database.

use std::future::poll_fn;
use std::task::Poll;
use testkit::EngineRig;

/// How many files this process has open whose path begins with that of the rig's database.
fn open_files(rig: &EngineRig) -> usize {
    let database = rig.database();
    let open = std::fs::read_dir("/proc/self/fd").expect("a list of open files");
    let paths = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    paths.filter(|path| path.to_string_lossy().starts_with(&*database.to_string_lossy())).count()
}

#[tokio::test]
async fn queries_that_nobody_waits_for_any_more_do_not_pile_up_connections() {
    let rig = EngineRig::open().await;
    let mut given_up = 0;
    for _ in 0..50 {
        let mut query = Box::pin(rig.store.verify());
        let start = poll_fn(|context| Poll::Ready(query.as_mut().poll(context).is_ready()));
        given_up += usize::from(!start.await);
    }
    assert!(given_up >= 25, "most were still under way, not {given_up}");
    rig.verify_clean().await;
    // The writer, its checkpoints and four readers, each with the file, its log and their index.
    assert!(open_files(&rig) <= 6 * 3, "{} files are open", open_files(&rig));
}
