//! A disk that fails or is full, as whoever uses the store meets it.

use super::*;

/// Writes what makes the file grow.
fn fill(store: &Store, at: usize) -> Result<(), StoreError> {
    store.write_now(move |tx| tx.set_meta(&format!("row {at}"), &"x".repeat(200_000)))
}

/// Waits for what another thread brings about.
fn in_time(what: &str, is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_full_disk_makes_the_shop_read_only_until_there_is_room_again() {
    let disk = FlakyDisk::default();
    let store = open(&disk, true);
    disk.image().capacity = Some(4 << 20);
    let full = (0..200).find_map(|at| fill(&store, at).err()).expect("it gets full");
    assert!(matches!(full, StoreError::Disk(_)), "{full:?}");
    assert!(store.trouble().is_some());

    // Refused at once, though this one would fit, and read all the same.
    let begun = std::time::Instant::now();
    for _ in 0..1000 {
        let refused = store.write_now(|tx| tx.next_number("tea"));
        assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
        assert_eq!(number(&store, "tea"), 0);
    }
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
    assert!(store.probe().now_or_never().is_some_and(|probed| probed.is_err()));

    disk.image().capacity = None;
    in_time("it comes back by itself", || store.trouble().is_none());
    assert_eq!(store.write_now(|tx| tx.next_number("tea")).expect("it writes"), 1);
    assert_eq!(findings(&store), []);
}

#[test]
fn a_disk_without_room_is_found_by_a_probe_before_an_order_finds_it() {
    let disk = FlakyDisk::default();
    let store = open(&disk, false);
    disk.image().capacity = Some(1);
    let mut probing = Box::pin(store.probe());
    assert!(probing.as_mut().now_or_never().is_none());
    store.step();
    assert!(matches!(probing.now_or_never(), Some(Err(StoreError::ReadOnly(_)))));
    disk.image().capacity = None;
    store.step();
    assert_eq!(store.trouble(), None);
}

#[test]
fn a_read_that_fails_is_seen_to_though_nobody_writes() {
    let disk = FlakyDisk::default();
    let store = open(&disk, true);
    for at in 0..20 {
        fill(&store, at).expect("it writes");
    }
    let all = |store: &Store| {
        store.read(|tx| {
            let mut rows = 0;
            META.each(tx, |_, _| rows += 1).map(|()| rows)
        })
    };
    let rows = all(&store).expect("it reads");
    disk.image().read_fails = true;
    // What the cache has not is read from the disk.
    in_time("a read fails", || all(&store).is_err());
    in_time("reads go on", || all(&store).is_ok_and(|found| found == rows));
    in_time("so do writes", || store.trouble().is_none());
    store.write_now(|tx| tx.next_number("tea")).expect("it writes");
}

#[test]
fn who_reads_while_the_file_is_opened_anew_waits_for_it() {
    let disk = FlakyDisk::default();
    let store = Arc::new(open(&disk, true));
    store.write_now(|tx| tx.next_number("tea")).expect("it writes");
    {
        let mut image = disk.image();
        image.fails_at = Some(image.steps + 1);
        image.opens_in = Duration::from_millis(300);
    }
    let writer = Arc::clone(&store);
    let writing = std::thread::spawn(move || writer.write_now(|tx| tx.next_number("tea")));
    in_time("the writer opens the file anew", || disk.image().fails_at.is_none());
    assert_eq!(number(&store, "tea"), 1);
    assert!(writing.join().expect("it ends").is_err());
    in_time("it comes back by itself", || store.trouble().is_none());
}

#[test]
fn an_older_file_in_the_place_of_the_open_one_is_not_built_on() {
    let disk = FlakyDisk::default();
    let store = open(&disk, false);
    let old = disk.image().now.clone();
    store.write_now(|tx| tx.next_number("tea")).expect("it writes");
    let own = {
        let mut image = disk.image();
        image.fails_at = Some(image.steps + 1);
        image.synced.clone_from(&old);
        std::mem::replace(&mut image.now, old)
    };
    assert!(store.write_now(|tx| tx.next_number("tea")).is_err());
    store.step();
    let why = store.trouble().expect("it is read-only");
    assert!(why.contains("not the file it was"), "{why}");
    {
        let mut image = disk.image();
        image.now.clone_from(&own);
        image.synced = own;
    }
    store.step();
    assert_eq!(store.trouble(), None);
    assert_eq!(store.write_now(|tx| tx.next_number("tea")).expect("it writes"), 2);
}
