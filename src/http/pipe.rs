//! An answer that is written while it is read: exports, which may be larger than memory.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, header};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::reply::Reply;
use super::request::Body;
use crate::telemetry::aside;

/// Pieces that an answer goes out in (bytes), and how many of them may wait.
const PIECE: usize = 64 << 10;
const WAITING: usize = 4;
/// How long a client may take over a piece, and over all of them: the snapshot that is read from is held as long.
const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_hours(1);

/// How many records a file has that is on its way: a header of exports.
pub const TOTAL: HeaderName = HeaderName::from_static("x-total-count");

/// What a file is exported as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FileFormat {
    #[default]
    Csv,
    /// JSON lines.
    Lines,
}

crate::words!(FileFormat: ["csv", "jsonl"]);

impl FromStr for FileFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "csv" => Ok(FileFormat::Csv),
            "jsonl" => Ok(FileFormat::Lines),
            _ => Err("must be csv or jsonl".into()),
        }
    }
}

/// JSON lines, as they are asked for and answered.
pub const LINES: &str = "application/x-ndjson";

impl FileFormat {
    /// The answer that brings a file of this format, which has `total` records beside its header.
    pub fn reply(self, stem: &str, total: u64, body: Body) -> Reply {
        let (media_type, ending) = match self {
            FileFormat::Csv => ("text/csv; charset=utf-8", "csv"),
            FileFormat::Lines => (LINES, "jsonl"),
        };
        let name = format!("attachment; filename=\"{stem}.{ending}\"");
        let reply = Reply::stream(media_type, body).header(TOTAL, &total.to_string());
        reply.header(header::CONTENT_DISPOSITION, &name)
    }
}

/// Where the answer is written to.
pub struct Pipe {
    pieces: mpsc::Sender<Piece>,
    buffer: Vec<u8>,
    runtime: Handle,
    until: Instant,
}

/// Has `write` fill an answer, on a thread that may wait. When it fails the answer breaks off, so that nobody takes
/// it for whole.
pub fn piped(write: impl FnOnce(&mut Pipe) -> io::Result<()> + Send + 'static) -> Body {
    let (pieces, coming) = mpsc::channel(WAITING);
    let runtime = Handle::current();
    aside(move || {
        let until = Instant::now() + LONGEST;
        let mut pipe = Pipe { pieces, buffer: Vec::with_capacity(PIECE), runtime, until };
        // A thread that dies must not leave an end that looks like one.
        let written = catch_unwind(AssertUnwindSafe(|| {
            write(&mut pipe)?;
            pipe.flush()?;
            pipe.send(Piece::End)
        }));
        if let Err(error) = written.unwrap_or_else(|_| Err(io::Error::other("a panic"))) {
            match error.kind() {
                io::ErrorKind::BrokenPipe => tracing::debug!("an export was hung up on"),
                _ => tracing::warn!(%error, "an export broke off"),
            }
        }
    });
    // Only what was written to its end has one.
    Box::pin(stream::unfold(Some(coming), |coming| async {
        let mut coming = coming?;
        match coming.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(coming))),
            Some(Piece::End) => None,
            None => Some((Err("the export broke off".to_owned()), None)),
        }
    }))
}

/// What comes through a pipe.
enum Piece {
    Bytes(Bytes),
    End,
}

impl Pipe {
    fn send(&mut self, piece: Piece) -> io::Result<()> {
        let patience = PATIENCE.min(self.until.saturating_duration_since(Instant::now()));
        let sent = tokio::time::timeout(patience, self.pieces.send(piece));
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes too long to read")),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.send(Piece::Bytes(piece.into()))
    }
}
