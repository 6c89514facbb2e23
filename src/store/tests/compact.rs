//! Making the file anew.

use super::*;

#[test]
fn whoever_reads_while_the_file_is_made_anew_reads_on_to_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = Box::new(FileDisk::new(dir.path().join("till.redb"), 1 << 20));
    let clock = Arc::new(ManualClock::at(START));
    let store = Store::open(Options { disk, clock, seed: [1; 32], threaded: true }).expect("it opens");
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
