//! The fuzz targets without a fuzzer: every input of the corpus, and changed copies of them from a seed. It finds again
//! what was found once, and what is near it; `cargo fuzz` finds new things.
//!
//! `FUZZ_SECONDS=60` tries longer, `FUZZ_TARGET=imports` one target alone, `FUZZ_SEED=…` begins elsewhere. `FUZZ_SEEDS=fuzz/corpus` writes the inputs to begin
//! with, where cargo-fuzz looks for them.

#[path = "mod.rs"]
mod fuzz;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz::{TARGETS, Target};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// How long each target is tried.
const SECONDS: u64 = 10;
/// Most changes of a copy.
const CHANGES: usize = 4;
/// What a change may put in: where parsers go wrong.
const WORDS: &[&[u8]] = &[
    b"-1",
    b"0",
    b"1e999",
    b"9223372036854775808",
    b"0.005",
    b"null",
    b"true",
    b"\"\"",
    b"{}",
    b"[",
    b"}",
    b"\\u0000",
    b"\\ud800",
    b"\xFF",
    b"\xC3\xA9",
    b"\xE2\x80\xAE",
    b"'=",
    b"\"",
    b"\n",
    b"%00",
    b"&",
    b",",
    b";",
    b"\t",
];

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The inputs that are kept, with their names.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let files = fs::read_dir(&dir).into_iter().flatten();
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("readable").path()).collect();
    paths.sort();
    let kept = paths.iter().map(|path| (path.display().to_string(), fs::read(path).expect("readable")));
    let seeds = (target.seeds)().into_iter().enumerate().map(|(n, seed)| (format!("seed {n}"), seed));
    kept.chain(seeds).collect()
}

/// A copy of `input` with some changes, and with a piece of `other`.
fn changed(input: &[u8], other: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut input = input.to_vec();
    for _ in 0..rng.random_range(1..=CHANGES) {
        let at = rng.random_range(0..=input.len());
        let some = at..rng.random_range(at..=input.len().min(at + 16));
        match rng.random_range(0..4) {
            0 => drop(input.splice(some, [])),
            1 => drop(input.splice(at..at, WORDS.choose(rng).expect("some").iter().copied())),
            2 => drop(input.splice(some, rng.random::<[u8; 1]>())),
            _ => {
                let from = rng.random_range(0..=other.len());
                let piece = &other[from..rng.random_range(from..=other.len().min(from + 64))];
                drop(input.splice(some, piece.iter().copied()));
            }
        }
    }
    input
}

fn attempt(target: &Target, called: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        let path = std::env::temp_dir().join(format!("till-fuzz-{}", target.name));
        fs::write(&path, input).expect("room for what was found");
        panic!(
            "{}: {called} is kept as {}: {:?}",
            target.name,
            path.display(),
            String::from_utf8_lossy(input)
        );
    }
}

#[test]
fn nothing_that_was_found_comes_back() {
    for target in TARGETS {
        for (name, input) in corpus(target) {
            attempt(target, &name, &input);
        }
    }
}

#[test]
fn nothing_near_it_is_found_either() {
    let (seconds, seed) = (number("FUZZ_SECONDS", SECONDS), number("FUZZ_SEED", rand::random()));
    println!("FUZZ_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let only = std::env::var("FUZZ_TARGET").ok();
    for target in TARGETS.iter().filter(|target| only.as_ref().is_none_or(|only| only == target.name)) {
        let inputs = corpus(target);
        let (began, mut tried) = (Instant::now(), 0_u64);
        while began.elapsed() < Duration::from_secs(seconds) {
            let one = |rng: &mut StdRng| &inputs[rng.random_range(0..inputs.len())];
            let ((name, input), (_, other)) = (one(&mut rng), one(&mut rng));
            attempt(target, &format!("a changed {name}"), &changed(input, other, &mut rng));
            tried += 1;
        }
        println!("{}: {tried} inputs", target.name);
    }
}

#[test]
fn seeds_are_written_where_they_are_asked_for() {
    let Ok(dir) = std::env::var("FUZZ_SEEDS") else { return };
    for target in TARGETS {
        let dir = Path::new(&dir).join(target.name);
        fs::create_dir_all(&dir).expect("room");
        for seed in (target.seeds)() {
            fs::write(dir.join(format!("{:08x}", crc32fast::hash(&seed))), seed).expect("room");
        }
    }
}
