//! A file that is made anew, as whoever reads meanwhile meets it, and as one that was cut off leaves it.

use std::path::Path;

use super::*;

fn open_file(path: &Path) -> Store {
    let disk = Box::new(FileDisk::new(path.to_owned(), 1 << 20));
    let clock = Arc::new(ManualClock::at(Time(0)));
    Store::open(Options { disk, clock, seed: [0; 32], threaded: false }).expect("it opens")
}

#[test]
fn whoever_reads_while_the_file_is_made_anew_reads_on_to_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_file(&dir.path().join("till.redb"));
    store
        .write_now(|tx| (0..20_000).try_for_each(|n| tx.set_meta(&format!("row {n:05}"), &"x".repeat(100))))
        .expect("done");
    let rows = store.read(|tx| {
        let mut rows = 0;
        META.try_each(tx, |_, _| {
            rows += 1;
            // In the middle of it: what is read after is not in any cache.
            if rows == 100 {
                store.compact(&mut |_, _, _| ControlFlow::Continue(()))?;
                store.write_now(|tx| tx.next_number("tea"))?;
            }
            Ok::<_, StoreError>(())
        })?;
        // The snapshot is what it was.
        assert_eq!(COUNTERS.get(tx, &"tea".to_owned())?, None);
        Ok::<_, StoreError>(rows)
    });
    assert!(rows.expect("it reads") > 20_000);
    assert_eq!(number(&store, "tea"), 1);
    assert_eq!(store.trouble(), None);
}

#[test]
fn what_a_compaction_left_that_was_cut_off_is_removed_at_the_next_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, left) = (dir.path().join("till.redb"), dir.path().join("till.redb.compacting"));
    std::fs::write(&left, "half a file").expect("it is written");
    let _store = open_file(&path);
    assert!(!left.exists());
}
