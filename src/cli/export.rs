//! Writing what the shop exports: `till product export`, `till order export`.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures_util::StreamExt;
use http::Method;
use serde_json::json;

use super::client::{Answering, Payload, Shop, broken_off, refusal};
use super::file::OutFile;
use super::output::Output;
use super::progress::Progress;
use super::{CliError, stopped};
use crate::http::TOTAL;

#[derive(Args)]
pub struct Export {
    /// What to write: csv or jsonl [default: by the ending of --out, else csv, with --json jsonl]
    #[arg(long)]
    format: Option<Format>,
    /// The file to write, which takes the place of one that is there; - is stdout
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    out: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

impl Export {
    fn format(&self, out: &Output) -> Format {
        let by_ending = match self.out.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl" | "ndjson") => Format::Jsonl,
            Some("csv") => Format::Csv,
            _ => {
                if out.json {
                    Format::Jsonl
                } else {
                    Format::Csv
                }
            }
        };
        self.format.unwrap_or(by_ending)
    }

    /// Fetches `path`, which has a `?` already, and writes it whole or not at all.
    pub async fn run(&self, shop: &Shop, path: &str, out: &Output) -> Result<(), CliError> {
        let format = self.format(out);
        let name = if format == Format::Csv { "csv" } else { "jsonl" };
        let answering = shop.open(Method::GET, &format!("{path}&format={name}"), None, Payload::None).await?;
        if answering.status >= 400 {
            let answered = answering.whole().await?;
            return Err(CliError::failed(refusal(&answered.json(), answered.status)));
        }
        let mut records = Records { is_csv: format == Format::Csv, ..Records::default() };
        // What is for sale is for everybody to see; who buys it is not.
        let is_secret = !path.starts_with("/api/admin/products/");
        let mut file = OutFile::create(&self.out, is_secret)?;
        // On stdout the data itself shows how far it is.
        let progress = Progress::new(out.quiet || matches!(file, OutFile::Stdout(_)));
        copy(answering, &mut file, &mut records, progress).await?;
        file.finish()?;
        if self.out != Path::new("-") {
            let count = records.count.saturating_sub(u64::from(records.is_csv));
            let (shown, document) = (self.out.display(), json!({"file": self.out, "records": count}));
            if out.json {
                out.document(&document, |_| String::new());
            } else {
                out.note(&format!("{count} records written to {shown}"));
            }
        }
        Ok(())
    }
}

async fn copy(
    mut answering: Answering,
    to: &mut impl Write,
    records: &mut Records,
    mut progress: Progress,
) -> Result<(), CliError> {
    let total = answering.headers.get(TOTAL).and_then(|total| total.to_str().ok()?.parse().ok()).unwrap_or(0);
    loop {
        let piece = tokio::select! {
            piece = answering.body.next() => piece,
            () = stopped() => {
                progress.end();
                return Err(CliError::failed("stopped; nothing was exported"));
            }
        };
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|said| broken_off(&said))?;
        records.see(&piece);
        progress.at("exporting", records.count.min(total), total, false);
        if let Err(error) = to.write_all(&piece) {
            progress.end();
            // A reader that has seen enough.
            return if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error.into()) };
        }
    }
    progress.end();
    Ok(to.flush()?)
}

/// Counts records as they pass.
#[derive(Default)]
struct Records {
    is_csv: bool,
    in_quotes: bool,
    count: u64,
}

impl Records {
    fn see(&mut self, piece: &[u8]) {
        for byte in piece {
            match byte {
                // A quote within quotes is doubled, so that it ends them and begins them again.
                b'"' if self.is_csv => self.in_quotes = !self.in_quotes,
                b'\n' if !self.in_quotes => self.count += 1,
                _ => {}
            }
        }
    }
}
