//! Histories of a shop, one after the other on every core, until the time is up or one fails: the same that
//! `tests/histories` runs.
//!
//! `cargo run --release --example simulate -- --for 10m` runs from seed 1, `--from 5000` from that one;
//! `--seed 123` replays one and prints what happens in it.

#[path = "../tests/histories/mod.rs"]
mod histories;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use histories::{Tally, Template, history, log, try_history};

/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Lives a shop's histories on a simulated disk, until one of them fails
#[derive(Parser)]
struct Options {
    /// How long: 30s, 10m, 2h
    #[arg(long = "for", default_value = "1m", value_parser = span)]
    span: Duration,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Replays this history alone, and prints what happens in it
    #[arg(long)]
    seed: Option<u64>,
}

fn span(text: &str) -> Result<Duration, String> {
    let said = || format!("{text} is no time: 30s, 10m, 2h");
    let unit = text.chars().last().ok_or_else(said)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(said()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| said())?;
    Ok(Duration::from_secs(number * seconds))
}

/// What the threads share.
struct Run {
    template: Template,
    next: AtomicU64,
    lived: AtomicU64,
    had: Mutex<Tally>,
    failed: Mutex<Option<u64>>,
    is_over: AtomicBool,
}

impl Run {
    fn live(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            match try_history(&self.template, seed) {
                Some(lived) => {
                    *self.had.lock().expect("nobody panics with it") += lived.tally;
                    self.lived.fetch_add(1, Ordering::Relaxed);
                }
                None => {
                    self.failed.lock().expect("nobody panics with it").get_or_insert(seed);
                    self.is_over.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    fn tell(&self, begun: Instant) {
        let (lived, seconds) = (self.lived.load(Ordering::Relaxed), begun.elapsed().as_secs_f64());
        let rate = f64::from(u32::try_from(lived).unwrap_or(u32::MAX)) / seconds;
        let had = *self.had.lock().expect("nobody panics with it");
        println!("{seconds:.0} s, {lived} histories, {rate:.1} a second: {}", had.said());
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let template = Template::new();
    if let Some(seed) = options.seed {
        log();
        history(&template, seed, true);
        return ExitCode::SUCCESS;
    }
    let run = Run {
        template,
        next: AtomicU64::new(options.from),
        lived: AtomicU64::new(0),
        had: Mutex::default(),
        failed: Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(|| run.live())).collect();
        let mut told = begun;
        while !all.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(100));
            if begun.elapsed() >= options.span {
                run.is_over.store(true, Ordering::Relaxed);
            }
            if told.elapsed() >= TELL_EVERY {
                run.tell(begun);
                told = Instant::now();
            }
        }
    });
    run.tell(begun);
    let failed = *run.failed.lock().expect("nobody panics with it");
    let Some(seed) = failed else { return ExitCode::SUCCESS };
    println!("history {seed} failed; replay it: cargo run --release --example simulate -- --seed {seed}");
    ExitCode::FAILURE
}
