//! An import from the file to its report, on a thread that may wait.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::json;

use super::apply::{Applied, Apply, Step, apply};
use super::check::{How, check};
use super::record::{IMPORTS, Import, State, unfinished};
use super::source::Source;
use super::spool::{Format, Spooled};
use super::{Counts, Errors, Report};
use crate::accounts::Staff;
use crate::app::App;
use crate::http::idempotency::InFlight;
use crate::http::{ApiError, Reply, Teller, ok};
use crate::id::ImportId;
use crate::store::{OnceKey, StoreError};

/// After how many entries it is told how far the check is.
const TELL_EVERY: u32 = 256;

/// Everything an import needs.
pub struct Job {
    pub app: Arc<App>,
    pub spooled: Spooled,
    pub format: Format,
    pub how: How,
    pub dry_run: bool,
    pub resume: bool,
    pub by: Staff,
    pub digest: [u8; 32],
    pub key: Option<OnceKey>,
    /// The import that the key began.
    pub began: Option<ImportId>,
    /// Told how far it is.
    pub teller: Teller,
    /// Held to the end: there is one import at a time.
    pub alone: Option<InFlight>,
}

/// What an import is known by while it is worked on.
pub fn running(id: ImportId) -> String {
    format!("import {id}")
}

impl Job {
    pub fn run(self) -> Result<Reply, ApiError> {
        let app = self.app;
        let tell = |stage: &str, id: Option<ImportId>, done: u64, of: u64| {
            self.teller.tell(&json!({"stage": stage, "id": id, "done": done, "of": of}))
        };
        let began = match self.began {
            Some(id) => app.store.read(|tx| IMPORTS.get(tx, &id))?.map(|import| (id, import)),
            None => None,
        };
        if let Some((id, import)) = began.clone().filter(|(_, import)| import.state == State::Done) {
            // Its answer was lost, not its work.
            let mut errors = Errors::default();
            errors.append(import.errors.clone());
            return Ok(done(id, &import, errors, Vec::new()));
        }

        let resumes = match began {
            None if !self.resume => None,
            None => {
                app.store.read(|tx| Ok::<_, StoreError>(Some(unfinished(tx, &self.digest, self.how)?)))?
            }
            began => Some(began),
        };
        let resumes = match resumes {
            None => None,
            Some(found) => Some(found.filter(|(_, import)| import.state == State::Begun).ok_or_else(gone)?),
        };
        let at_rest = |of| match &resumes {
            Some((id, import)) => stopped(Some(*id), import.done, import.entries),
            None => stopped(None, 0, of),
        };

        let size = self.spooled.length;
        let opened = Source::open(self.spooled, self.format, app.currency(), |done| {
            tell("reading", None, done, size)
        })?;
        let Some(source) = opened else { return Err(at_rest(0)) };
        if resumes.as_ref().is_some_and(|(_, import)| import.entries != source.len()) {
            return Err(gone());
        }
        let from = resumes.as_ref().map_or(0, |(_, import)| import.done);

        let (of, mut told) = (source.len(), from);
        let checked = check(&app.store, &source, from, self.how, |done| {
            if done < told + TELL_EVERY {
                return ControlFlow::Continue(());
            }
            told = done;
            tell("checking", None, done.into(), of.into())
        })?;
        let Some(check) = checked else { return Err(at_rest(of)) };
        let mut notes = source.notes();
        if resumes.is_none() {
            if check.counts.failed > 0 && !self.how.skip_bad {
                return Err(refused(&Report::new(None, check.counts, check.errors, notes)));
            }
            if self.dry_run || !check.is_change() {
                return Ok(ok(&Report::new(None, check.counts, check.errors, notes)));
            }
        } else if from > 0 {
            notes.push(format!("Gone on with after entry {from} of {of}."));
        }

        let asked = Apply {
            store: &app.store,
            source: &source,
            how: self.how,
            by: self.by,
            digest: self.digest,
            resumes: resumes.map(|(id, import)| (id, import.done)),
            key: self.key,
        };
        let mut mark = None;
        let applied = apply(asked, check, |Step { id, done, entries }| {
            mark.get_or_insert_with(|| app.in_flight.enter(&running(id)));
            tell("importing", Some(id), done.into(), entries.into())
        });
        let Applied { id, import, errors } = applied?;
        if import.state == State::Begun {
            return Err(stopped(Some(id), import.done, import.entries));
        }
        drop(self.alone);
        Ok(done(id, &import, errors, notes))
    }
}

fn done(id: ImportId, import: &Import, errors: Errors, notes: Vec<String>) -> Reply {
    ok(&Report::new(Some(id), import.counts, errors, notes))
}

fn stopped(id: Option<ImportId>, done: u32, of: u32) -> ApiError {
    let said = match id {
        None => "The import was stopped before anything was changed.".to_owned(),
        Some(id) => format!(
            "The import was stopped: {done} of the file's {of} entries are dealt with. Send the same file with \
             resume=true to go on, or put import {id} back."
        ),
    };
    ApiError::new(503, "import_stopped", said).with("id", id).with("done", done).with("of", of)
}

pub fn gone() -> ApiError {
    let said =
        "No unfinished import of this file, with this mode and skip_bad, is known; import it without resume.";
    ApiError::new(409, "nothing_to_resume", said)
}

/// 422, and the report in the problem document.
fn refused(report: &Report) -> ApiError {
    let Counts { rows, failed, .. } = report.counts;
    ApiError::new(422, "import_refused", "Some rows are not right, so none was applied; see errors.")
        .with("rows", rows)
        .with("created", 0)
        .with("updated", 0)
        .with("unchanged", rows - failed)
        .with("failed", failed)
        .with("errors", &report.errors)
        .with("notes", &report.notes)
}
