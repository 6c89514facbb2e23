//! What a write sees of what it, and the acts before it, have changed.

use std::collections::BTreeMap;

use super::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Short keys of few letters, so that they meet.
fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0_u8..4, 0..3)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
}

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, Option<u8>),
    Scan(Bound<Vec<u8>>, Bound<Vec<u8>>, bool, usize),
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (key(), proptest::option::of(any::<u8>())).prop_map(|(key, value)| Step::Set(key, value)),
        3 => (bound(), bound(), any::<bool>(), 1_usize..9).prop_map(|(from, to, up, most)| Step::Scan(from, to, up, most)),
        1 => Just(Step::Commit),
    ]
}

/// What a scan of the model sees, at most so many rows.
fn expected(model: &Model, span: &Span, most: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let after = |key: &Vec<u8>| match &span.from {
        Bound::Included(from) => key >= from,
        Bound::Excluded(from) => key > from,
        Bound::Unbounded => true,
    };
    let before = |key: &Vec<u8>| match &span.to {
        Bound::Included(to) => key <= to,
        Bound::Excluded(to) => key < to,
        Bound::Unbounded => true,
    };
    let rows = model.iter().filter(|(key, _)| after(key) && before(key));
    let mut rows: Vec<_> = rows.map(|(key, value)| (key.clone(), value.clone())).collect();
    if span.direction == Direction::Down {
        rows.reverse();
    }
    rows.truncate(most);
    rows
}

fn seen(tx: &impl Reads, span: Span, most: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let mut see = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        if rows.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    tx.scan_raw(ROWS, span, &mut see).expect("it reads");
    rows
}

/// A table that an empty shop has no rows in.
const ROWS: &str = "carts";

/// Does `steps` in one act, and holds what it sees against the model.
fn act(tx: &mut WriteTx, model: &mut Model, steps: &[Step]) -> Result<(), StoreError> {
    for step in steps {
        match step {
            Step::Set(key, value) => {
                let value = value.map(|byte| vec![byte]);
                let before = match &value {
                    Some(value) => tx.put_raw(ROWS, key, value)?,
                    None => tx.delete_raw(ROWS, key)?,
                };
                let known = match value {
                    Some(value) => model.insert(key.clone(), value),
                    None => model.remove(key),
                };
                assert_eq!(before, known, "what was there before");
                assert_eq!(tx.get_raw(ROWS, key)?, model.get(key).cloned());
            }
            Step::Scan(from, to, up, most) => {
                let direction = if *up { Direction::Up } else { Direction::Down };
                let span = || Span { from: from.clone(), to: to.clone(), direction };
                assert_eq!(seen(tx, span(), *most), expected(model, &span(), *most));
            }
            Step::Commit => {}
        }
        assert_eq!(tx.len_raw(ROWS)?, model.len() as u64);
    }
    // Raw rows are in no feed, so a number makes it a commit.
    tx.next_number("tea").map(drop)
}

proptest! {
    /// A write sees what it has done so far over what was committed, whole and in order; and that is what is committed.
    #[test]
    fn a_write_sees_the_file_as_it_will_be(steps in proptest::collection::vec(step(), 1..80)) {
        let store = open(&FlakyDisk::default(), false);
        let mut committed = Model::new();
        for part in steps.split(|step| matches!(step, Step::Commit)) {
            let (part, before) = (part.to_vec(), committed.clone());
            let after = store.write_now(move |tx| {
                let mut model = before.clone();
                act(tx, &mut model, &part).map(|()| model)
            });
            committed = after.expect("it is as the model has it");
            let rows = store.read(|tx| Ok::<_, StoreError>(seen(tx, Span::all(Direction::Up), usize::MAX)));
            prop_assert_eq!(rows.expect("it reads").into_iter().collect::<Model>(), committed.clone());
        }
    }
}
