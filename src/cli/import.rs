//! `till product import`

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clap::{Args, ValueEnum};
use futures_util::stream;
use http::Method;
use serde_json::Value;
use tokio::sync::mpsc;

use super::client::{Payload, Shop, Upload, broken_off, refusal};
use super::output::{Output, text_of};
use super::progress::Progress;
use super::{CliError, stopped};
use crate::http::LINES;

/// Pieces that a file is sent in (bytes).
const PIECE: usize = 64 << 10;

#[derive(Args)]
pub struct Import {
    /// The file; - is stdin
    #[arg(required_unless_present = "undo")]
    file: Option<String>,
    /// What the file is. The kinds of CSV are told apart by their header, whatever is said here
    #[arg(long, default_value = "auto")]
    format: Format,
    /// Whether products that are there already are changed, or are faults
    #[arg(long, default_value = "upsert")]
    mode: Mode,
    /// Says what would be done, and does nothing
    #[arg(long)]
    dry_run: bool,
    /// Leaves out bad rows, says which, and imports the others
    #[arg(long)]
    skip_bad: bool,
    /// Goes on with an import of this file that was stopped
    #[arg(long, conflicts_with = "dry_run")]
    resume: bool,
    /// Puts back what the import of this number changed, and nothing else
    #[arg(long, value_name = "ID", conflicts_with_all = ["file", "dry_run", "skip_bad", "resume"])]
    undo: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Auto,
    Csv,
    Jsonl,
    Shopify,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Upsert,
    Create,
}

/// What the shop has said so far.
#[derive(Default)]
struct Heard {
    /// Whether the whole file has arrived.
    has_begun: bool,
    id: Option<u64>,
    done: u64,
    of: u64,
    end: Option<(u16, Value)>,
}

impl Import {
    /// Whether it begins a shop where there is none.
    pub fn begins(&self) -> bool {
        self.undo.is_none() && !self.resume
    }

    /// The command that goes on with this import.
    fn again(&self, file: &str) -> String {
        let skip_bad = if self.skip_bad { " --skip-bad" } else { "" };
        let mode = if self.mode == Mode::Create { " --mode create" } else { "" };
        format!("till product import {file}{skip_bad}{mode} --resume")
    }

    /// Looks for the file before a shop is looked for, or begun.
    pub fn is_readable(&self) -> Result<(), CliError> {
        let Some(file) = self.file.as_deref().filter(|file| *file != "-") else { return Ok(()) };
        let failed = |error: io::Error| CliError::failed(format!("{file}: {error}"));
        let about = std::fs::metadata(file).map_err(failed)?;
        if about.is_dir() {
            return Err(CliError::failed(format!("{file} is a directory")));
        }
        // A pipe can be opened once.
        if about.is_file() {
            File::open(file).map_err(failed)?;
        }
        Ok(())
    }

    pub async fn run(&self, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
        if let Some(id) = self.undo {
            return undo(id, shop, out).await;
        }
        let file = self.file.as_deref().expect("clap asks for it");
        let mode = if self.mode == Mode::Create { "create" } else { "upsert" };
        let (skip_bad, resume) = (self.skip_bad, self.resume);
        let path = format!(
            "/api/admin/products/import/?dry_run={}&mode={mode}&skip_bad={skip_bad}&resume={resume}",
            self.dry_run
        );
        let sent = Arc::new(AtomicU64::new(0));
        let upload = self.upload(file, Arc::clone(&sent))?;
        let length = upload.length.unwrap_or(0);
        let mut progress = out.progress();
        let mut heard = Heard::default();
        let is_over = tokio::select! {
            over = follow(shop, &path, upload, &mut progress, &mut heard, &sent, length) => Some(over),
            () = stopped() => None,
        };
        progress.end();
        match is_over {
            None => Err(CliError::failed(how_far(shop, &heard, &self.again(file)).await)),
            Some(Err(CliError { said, .. })) => match heard.id {
                None => Err(CliError::failed(said)),
                Some(_) => {
                    let far = format!("{} of {} entries are known to be dealt with", heard.done, heard.of);
                    let on = format!("{} goes on once the shop is there again", self.again(file));
                    Err(CliError::failed(format!("{said}\n{far}; {on}")))
                }
            },
            Some(Ok(())) => {
                let (status, report) = heard.end.ok_or_else(|| broken_off("it has no end"))?;
                self.tell(file, status, &report, out)
            }
        }
    }

    fn upload(&self, file: &str, sent: Arc<AtomicU64>) -> Result<Upload, CliError> {
        let failed = |error: io::Error| CliError::failed(format!("{file}: {error}"));
        let (mut reader, length): (Box<dyn Read + Send>, _) = if file == "-" {
            (Box::new(io::stdin()), None)
        } else {
            let opened = File::open(file).map_err(failed)?;
            let about = opened.metadata().map_err(failed)?;
            (Box::new(opened), about.is_file().then_some(about.len()))
        };
        let mut head = vec![0; PIECE];
        let read = read(&mut reader, &mut head).map_err(failed)?;
        head.truncate(read);
        let is_lines = match self.format {
            Format::Jsonl => true,
            Format::Csv | Format::Shopify => false,
            Format::Auto => {
                let ending = Path::new(file).extension().and_then(|ending| ending.to_str());
                let bare = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&head).trim_ascii_start();
                matches!(ending, Some("jsonl" | "ndjson")) || bare.starts_with(b"{")
            }
        };
        Ok(Upload {
            media_type: if is_lines { LINES } else { "text/csv" },
            length,
            pieces: pieces(head.into(), reader, sent),
        })
    }

    fn tell(&self, file: &str, status: u16, report: &Value, out: &Output) -> Result<ExitCode, CliError> {
        if report["code"] == "import_stopped" {
            let said = match report["id"].as_u64() {
                None => "the shop was stopped; nothing was imported".to_owned(),
                Some(id) => stopped_at(id, &report["done"], &report["of"], &self.again(file)),
            };
            return Err(CliError::failed(said));
        }
        if report["rows"].is_null() {
            return Err(CliError::failed(refusal(report, status)));
        }
        out.document(report, |report| people(report, self.dry_run));
        for error in report["errors"].as_array().into_iter().flatten().filter(|_| !out.json) {
            let [line, column, message] = ["line", "column", "message"].map(|name| text_of(error, name));
            let column =
                if column.is_empty() || column == "-" { String::new() } else { format!(", {column}") };
            eprintln!("{file}: line {line}{column}: {message}");
        }
        for note in report["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            out.note(note);
        }
        if let Some(id) = report["id"].as_u64() {
            out.note(&format!("This is import {id}; till product import --undo {id} puts it back."));
        }
        let failed = report["failed"].as_u64().unwrap_or(0);
        if status != 200 {
            let said = "some rows are not right, so nothing was imported; mend them and import the file again, or \
                        leave them out with --skip-bad";
            return Err(CliError::failed(said));
        }
        if failed > 0 && !self.skip_bad {
            let said = "the shop was changed while the file was imported: these rows were left out, all others are in";
            return Err(CliError::failed(said));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn people(report: &Value, dry_run: bool) -> String {
    let [rows, created, updated, unchanged, failed] =
        ["rows", "created", "updated", "unchanged", "failed"].map(|name| text_of(report, name));
    let lead = if dry_run { "a dry run: " } else { "" };
    format!(
        "{lead}{rows} rows: {created} created, {updated} updated, {unchanged} unchanged, {failed} failed\n"
    )
}

/// Reads what is there, or waits for it; 0 at the end.
fn read(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A file as it is read, on a thread of its own, and how much of it went out.
fn pieces(head: Bytes, mut reader: Box<dyn Read + Send>, sent: Arc<AtomicU64>) -> crate::http::Body {
    let (send, coming) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut piece = Ok(head);
        loop {
            let is_last = piece.is_err();
            if matches!(&piece, Ok(none) if none.is_empty()) || send.blocking_send(piece).is_err() || is_last
            {
                return;
            }
            let mut buffer = BytesMut::zeroed(PIECE);
            // What is there goes out: whoever writes into stdin may take their time.
            piece = read(&mut reader, &mut buffer).map_err(|error| error.to_string()).map(|read| {
                buffer.truncate(read);
                buffer.freeze()
            });
        }
    });
    Box::pin(stream::unfold((coming, sent), |(mut coming, sent)| async {
        let piece: Result<Bytes, String> = coming.recv().await?;
        sent.fetch_add(piece.as_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
        Some((piece, (coming, sent)))
    }))
}

/// Sends the file and listens to how it goes.
async fn follow(
    shop: &Shop,
    path: &str,
    upload: Upload,
    progress: &mut Progress,
    heard: &mut Heard,
    sent: &AtomicU64,
    length: u64,
) -> Result<(), CliError> {
    let asked = shop.open(Method::POST, path, Some(LINES), Payload::File(upload));
    tokio::pin!(asked);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let answering = loop {
        tokio::select! {
            answering = &mut asked => break answering?,
            _ = tick.tick() => progress.at("sending", sent.load(Ordering::Relaxed), length, true),
        }
    };
    heard.has_begun = true;
    if answering.status >= 400 {
        let answered = answering.whole().await?;
        heard.end = Some((answered.status, answered.json()));
        return Ok(());
    }
    heard.end = Some(answering.told(|said| hear(&said, progress, heard)).await?);
    Ok(())
}

fn hear(said: &Value, progress: &mut Progress, heard: &mut Heard) {
    let number = |name: &str| said[name].as_u64();
    let stage = said["stage"].as_str().unwrap_or_default();
    let (done, of) = (number("done").unwrap_or(0), number("of").unwrap_or(0));
    if let Some(id) = number("id") {
        (heard.id, heard.done, heard.of) = (Some(id), done, of);
    }
    progress.at(stage, done, of, stage == "reading");
}

/// How far an import came that was stopped, and what can be done now.
fn stopped_at(id: u64, done: &Value, of: &Value, again: &str) -> String {
    format!(
        "stopped: {done} of {of} entries are dealt with, each product whole\n\
         {again}   goes on\n\
         till product import --undo {id}   puts them back"
    )
}

/// What an import that was told to stop has done.
async fn how_far(shop: &Shop, heard: &Heard, again: &str) -> String {
    let Some(id) = heard.id else {
        let said = if heard.has_begun {
            "stopped; if anything was imported, till product imports shows how far it came"
        } else {
            "stopped; nothing was imported"
        };
        return said.into();
    };
    // It stops at the end of its present commit.
    for _ in 0..100 {
        let Ok(import) = shop.get(&format!("/api/admin/products/imports/{id}/")).await else { break };
        if import["running"] == false {
            if import["state"] == "done" {
                return format!(
                    "the import had come to its end; till product import --undo {id} puts it back"
                );
            }
            return stopped_at(id, &import["done"], &import["entries"], again);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    format!("stopped; till product imports shows how far import {id} came")
}

/// How much is told of what an undo has left.
const TOLD: usize = 20;

async fn undo(id: u64, shop: &Shop, out: &Output) -> Result<ExitCode, CliError> {
    let path = format!("/api/admin/products/imports/{id}/undo/");
    let mut progress = out.progress();
    let asked = shop.call(Method::POST, &path, Payload::None);
    tokio::pin!(asked);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let undone = loop {
        tokio::select! {
            undone = &mut asked => break undone,
            _ = tick.tick() => progress.at("undoing", 0, 0, false),
            () = stopped() => {
                progress.end();
                let import = shop.get(&format!("/api/admin/products/imports/{id}/")).await?;
                let [restored, archived] = ["restored", "archived"].map(|name| text_of(&import, name));
                let far = format!("stopped: so far {restored} products restored, {archived} archived, each whole");
                return Err(CliError::failed(format!("{far}\ntill product import --undo {id}   goes on")));
            }
        }
    };
    progress.end();
    let undone = undone?;
    out.document(&undone, |undone| {
        let [restored, archived] = ["restored", "archived"].map(|name| text_of(undone, name));
        format!("import {id} is put back: {restored} products restored, {archived} archived\n")
    });
    if !out.json {
        for left in undone["left"].as_array().into_iter().flatten().take(TOLD) {
            let [product, slug, message] = ["product_id", "slug", "message"].map(|name| text_of(left, name));
            eprintln!("left as it is: product {product} ({slug}): {message}");
        }
        let more = undone["left_count"].as_u64().unwrap_or(0).saturating_sub(TOLD as u64);
        if more > 0 {
            eprintln!("and {more} more; --json lists them");
        }
    }
    Ok(ExitCode::SUCCESS)
}
