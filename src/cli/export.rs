//! Writing what the shop exports: `till product export`, `till order export`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures_util::StreamExt;
use http::Method;

use super::client::{Answering, Payload, Shop, broken_off, refusal};
use super::output::Output;
use super::{CliError, stopped};
use crate::http::TOTAL;

#[derive(Args)]
pub struct Export {
    /// What to write: csv or jsonl [default: by the ending of --out, else csv]
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
    fn format(&self) -> Format {
        let by_ending = match self.out.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl" | "ndjson") => Format::Jsonl,
            _ => Format::Csv,
        };
        self.format.unwrap_or(by_ending)
    }

    /// Fetches `path`, which has a `?` already, and writes it whole or not at all.
    pub async fn run(&self, shop: &Shop, path: &str, out: &Output) -> Result<(), CliError> {
        let format = self.format();
        let name = if format == Format::Csv { "csv" } else { "jsonl" };
        let answering = shop.open(Method::GET, &format!("{path}&format={name}"), None, Payload::None).await?;
        if answering.status >= 400 {
            let answered = answering.whole().await?;
            return Err(CliError(refusal(&answered.json(), answered.status)));
        }
        let mut records = Records { is_csv: format == Format::Csv, ..Records::default() };
        if self.out == Path::new("-") {
            copy(answering, &mut std::io::stdout().lock(), &mut records, out).await?;
        } else {
            let failed = |error: std::io::Error| CliError(format!("{}: {error}", self.out.display()));
            let dir = self.out.parent().filter(|dir| !dir.as_os_str().is_empty());
            let file = tempfile::NamedTempFile::new_in(dir.unwrap_or(Path::new("."))).map_err(failed)?;
            let mut writer = BufWriter::new(file);
            copy(answering, &mut writer, &mut records, out).await?;
            let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
            file.as_file().sync_all().map_err(failed)?;
            file.persist(&self.out).map_err(|error| failed(error.error))?;
            let count = records.count.saturating_sub(u64::from(records.is_csv));
            out.note(&format!("{count} records written to {}", self.out.display()));
        }
        Ok(())
    }
}

async fn copy(
    mut answering: Answering,
    to: &mut impl Write,
    records: &mut Records,
    out: &Output,
) -> Result<(), CliError> {
    let total = answering.headers.get(TOTAL).and_then(|total| total.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut progress = out.progress();
    loop {
        let piece = tokio::select! {
            piece = answering.body.next() => piece,
            () = stopped() => {
                progress.end();
                return Err(CliError("stopped; nothing was exported".into()));
            }
        };
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|said| broken_off(&said))?;
        records.see(&piece);
        progress.at("exporting", records.count.min(total), total, false);
        to.write_all(&piece)?;
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
