//! A file that is made anew, as whoever reads meanwhile meets it, and as one that was cut off leaves it.

use std::path::Path;

use super::*;

fn open_file(path: &Path) -> Store {
    let disk = Box::new(FileDisk::new(path.to_owned(), 1 << 20));
    let clock = Arc::new(ManualClock::at(Time(0)));
    Store::open(Options { disk, clock, seed: [0; 32], threaded: false }).expect("it opens")
}

#[test]
fn who_reads_while_the_file_is_made_anew_reads_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_file(&dir.path().join("till.redb"));
    let write = |text: &'static str| store.write_now(move |tx| tx.set_meta("motto", text));
    write("before").expect("it writes");
    let motto = |tx: &ReadTx| META.expect(tx, &"motto".to_owned());
    let read = store.read(|tx| {
        store.compact(&mut |_, _, _| ControlFlow::Continue(()))?;
        write("after")?;
        motto(tx)
    });
    assert_eq!(read.expect("it reads on"), "before");
    assert_eq!(store.read(motto).expect("it reads"), "after");
}

#[test]
fn what_a_compaction_left_that_was_cut_off_is_removed_at_the_next_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, left) = (dir.path().join("till.redb"), dir.path().join("till.redb.compacting"));
    std::fs::write(&left, "half a file").expect("it is written");
    let _store = open_file(&path);
    assert!(!left.exists());
}
