//! `/api/admin/products/import/` and the records of imports: for staff.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::record::{IMPORTS, Import, State};
use super::run::{self, Applied, Apply, How, ImportError, Step, unfinished};
use super::source::Source;
use super::spool::{Format, Spool, Spooled};
use super::undo::{self, Undone};
use super::{Counts, Report};
use crate::accounts::{Scope, Staff};
use crate::app::App;
use crate::clock::Time;
use crate::http::idempotency::InFlight;
use crate::http::{Answer, ApiError, LINES, Reply, Req, Routes, get, ok, post, unsupported};
use crate::id::ImportId;
use crate::store::{Direction, OnceKey, Seen, StoreError};

/// Most bytes of a file that is imported.
const LIMIT: u64 = 4 << 30;

pub fn routes() -> Routes {
    Routes::new()
        .at("/api/admin/products/import/", post(import))
        .at("/api/admin/products/imports/", get(list))
        .at("/api/admin/products/imports/{id}/", get(show))
        .at("/api/admin/products/imports/{id}/undo/", post(put_back))
}

#[derive(Serialize)]
struct ImportView {
    id: ImportId,
    state: &'static str,
    /// Whether it is being worked on right now.
    running: bool,
    by: String,
    created_at: Time,
    finished_at: Option<Time>,
    /// Entries of the file, and how many of them are dealt with.
    entries: u32,
    done: u32,
    #[serde(flatten)]
    counts: Counts,
}

impl ImportView {
    fn new(id: ImportId, import: Import, app: &App) -> ImportView {
        ImportView {
            id,
            state: import.state.as_str(),
            running: import.state == State::Begun && app.in_flight.has(RUNNING),
            by: import.by,
            created_at: import.at,
            finished_at: import.finished_at,
            entries: import.entries,
            done: import.done,
            counts: import.counts,
        }
    }
}

async fn list(req: Req) -> Answer {
    req.staff(Scope::ProductsRead)?;
    let page = req.page()?;
    let found = req.app.store.read(|tx| IMPORTS.page(tx, page, Direction::Down))?;
    let app = Arc::clone(&req.app);
    req.list(page, found.map(|(id, import)| ImportView::new(id, import, &app)))
}

async fn show(req: Req, id: ImportId) -> Answer {
    req.staff(Scope::ProductsRead)?;
    let import = req.app.store.read(|tx| IMPORTS.get(tx, &id))?.ok_or_else(ApiError::not_found)?;
    Ok(ok(&ImportView::new(id, import, &req.app)))
}

/// What says that an import is running: there is one at a time.
const RUNNING: &str = "import";

fn alone(app: &App) -> Result<InFlight, ApiError> {
    app.in_flight.enter(RUNNING).map_err(|_| {
        ApiError::new(409, "import_running", "Another import is running, or being undone; wait for its end.")
    })
}

/// Everything an import needs, off the async threads.
struct Job {
    app: Arc<App>,
    spooled: Spooled,
    format: Format,
    how: How,
    dry_run: bool,
    resume: bool,
    by: Staff,
    digest: [u8; 32],
    key: Option<OnceKey>,
    /// The import that the key began.
    began: Option<ImportId>,
    /// Told how far it is; when nobody listens any more, the import stops.
    progress: mpsc::Sender<Bytes>,
    _alone: Option<InFlight>,
}

async fn import(mut req: Req) -> Answer {
    let by = req.staff(Scope::ProductsWrite)?;
    let is_csv = match req.media_type().as_str() {
        "text/csv" => true,
        LINES | "application/jsonl" => false,
        _ => return Err(unsupported("text/csv or application/x-ndjson")),
    };
    req.query.only(&["dry_run", "mode", "skip_bad", "resume"])?;
    let flag = |name| req.query.flag(name).map(|flag| flag.unwrap_or(false));
    let (dry_run, skip_bad, resume) = (flag("dry_run")?, flag("skip_bad")?, flag("resume")?);
    let how = How { mode: req.query.word("mode")?.unwrap_or_default(), skip_bad };

    let dir = req.app.config.data_dir.clone();
    let mut spool = Spool::begin(&dir).map_err(|error| no_room(&error))?;
    req.pieces(LIMIT, |piece| spool.add(piece).map_err(|error| no_room(&error))).await?;
    let spooled = spool.finish().map_err(|error| no_room(&error))?;
    let format =
        if is_csv { spooled.csv().map_err(|said| ApiError::field("file", said))? } else { Format::Lines };

    let (key, guard) = req.once_key()?.unzip();
    if let Some(before) = req.answered(key.as_ref())? {
        return Ok(before);
    }
    let began = match &key {
        Some(key) => match req.app.store.read(|tx| Ok::<_, ApiError>(key.seen::<()>(tx)??))? {
            Seen::Began(id) => Some(ImportId(id)),
            Seen::New | Seen::Done(()) => None,
        },
        None => None,
    };
    let alone = if dry_run { None } else { Some(alone(&req.app)?) };
    let (progress, told) = mpsc::channel(64);
    let job = Job {
        app: Arc::clone(&req.app),
        spooled,
        format,
        how,
        dry_run,
        resume,
        by,
        digest: req.digest,
        key: key.clone(),
        began,
        progress: progress.clone(),
        _alone: alone,
    };
    let lines = req.header(header::ACCEPT).is_some_and(|accept| accept.contains(LINES));
    let ending = async move {
        let reply = tokio::task::spawn_blocking(move || job.run()).await.map_err(ApiError::internal)??;
        req.remember(key, &reply).await?;
        drop(guard);
        Ok(reply)
    };
    if !lines {
        // Whoever hangs up lets go of `told`, and the import stops.
        drop(progress);
        let (reply, ()) = tokio::join!(ending, drain(told));
        return reply;
    }
    tokio::spawn(async move {
        let reply = ending.await.unwrap_or_else(|error: ApiError| error.into_reply(""));
        let body: Value = serde_json::from_slice(reply.body.whole()).unwrap_or(Value::Null);
        let line = json!({"stage": "end", "status": reply.status.as_u16(), "body": body});
        let _ = progress.send(format!("{line}\n").into()).await;
    });
    let lines = stream::unfold(told, |mut told| async { told.recv().await.map(|line| (Ok(line), told)) });
    Ok(Reply::stream(LINES, Box::pin(lines)))
}

async fn drain(mut told: mpsc::Receiver<Bytes>) {
    while told.recv().await.is_some() {}
}

fn no_room(error: &std::io::Error) -> ApiError {
    StoreError::Disk(format!("the file that is imported can't be kept: {error}")).into()
}

impl Job {
    fn run(self) -> Result<Reply, ApiError> {
        let app = Arc::clone(&self.app);
        let size = self.spooled.length;
        let tell = |stage: &str, id: Option<ImportId>, done: u64, of: u64| {
            let line = format!("{}\n", json!({"stage": stage, "id": id, "done": done, "of": of}));
            // A reader that is slow misses some of them; one that is gone has it stop.
            let is_gone =
                matches!(self.progress.try_send(line.into()), Err(mpsc::error::TrySendError::Closed(_)));
            if is_gone || app.stopping.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let stopped = |id: Option<ImportId>, done: u32, of: u32| {
            let said = match id {
                None => "The import was stopped before anything was changed.".to_owned(),
                Some(id) => format!(
                    "The import was stopped: {done} of the file's {of} entries are dealt with. Send the same file \
                     with resume=true to go on, or put import {id} back."
                ),
            };
            ApiError::new(503, "import_stopped", said).with("id", id).with("done", done).with("of", of)
        };

        let opened = Source::open(self.spooled, self.format, app.currency(), |done| {
            tell("reading", None, done, size)
        })?;
        let Some(source) = opened else { return Err(stopped(None, 0, 0)) };
        let resumes = match (self.resume, self.began) {
            (false, None) => None,
            (_, began) => {
                let found = app.store.read(|tx| match began {
                    Some(id) => Ok(IMPORTS.get(tx, &id)?.map(|import| (id, import))),
                    None => unfinished(tx, &self.digest, self.how),
                });
                let found = found.map_err(|error: StoreError| ApiError::from(error))?;
                Some(found.filter(|(_, import)| import.state == State::Begun).ok_or_else(nothing_to_resume)?)
            }
        };
        let from = resumes.as_ref().map_or(0, |(_, import)| import.done);
        let of = source.len();
        let seen = |done: u32| {
            if done.is_multiple_of(256) {
                tell("checking", None, done.into(), of.into())
            } else {
                ControlFlow::Continue(())
            }
        };
        let checked = run::check(&app.store, &source, from, self.how, seen)?;
        let Some(check) = checked else { return Err(stopped(None, 0, of)) };
        let mut notes = source.notes();
        if resumes.is_none() {
            let (counts, errors) = (check.counts, &check.errors);
            if counts.failed > 0 && !self.how.skip_bad {
                return Err(refused(&Report::new(None, counts, errors.clone(), notes)));
            }
            if self.dry_run || !check.is_change() {
                return Ok(ok(&Report::new(None, counts, check.errors, notes)));
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
            resumes: resumes.map(|(id, _)| id),
            key: self.key,
        };
        let seen = |step: Step| tell("importing", Some(step.id), step.done.into(), step.entries.into());
        let Applied { id, import, errors, stopped: is_stopped } = run::apply(asked, check, seen)?;
        if is_stopped && import.state == State::Begun {
            return Err(stopped(Some(id), import.done, import.entries));
        }
        Ok(ok(&Report::new(Some(id), import.counts, errors, notes)))
    }
}

fn nothing_to_resume() -> ApiError {
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

async fn put_back(mut req: Req, id: ImportId) -> Answer {
    let by = req.staff(Scope::ProductsWrite)?;
    let _: crate::http::input::Nothing = req.json_or_nothing().await?;
    let (key, _guard) = req.once_key()?.unzip();
    if let Some(before) = req.answered(key.as_ref())? {
        return Ok(before);
    }
    let _alone = alone(&req.app)?;
    let import = req.app.store.read(|tx| IMPORTS.get(tx, &id))?.ok_or_else(ApiError::not_found)?;
    if matches!(import.state, State::Undone | State::Forgotten) {
        let said = match import.state {
            State::Undone => "This import was put back already.",
            _ => "What this import changed is not kept any more; it can't be put back.",
        };
        return Err(ApiError::new(409, "import_not_undoable", said));
    }
    let mut all = Undone::default();
    loop {
        let by = by.clone();
        let (mut undone, is_more) = req.write(move |tx| Ok(undo::step(tx, id, &by)?)).await?;
        all.restored += undone.restored;
        all.archived += undone.archived;
        all.left.append(&mut undone.left);
        if !is_more {
            break;
        }
    }
    let reply = ok(&json!({"id": id, "restored": all.restored, "archived": all.archived, "left": all.left}));
    req.remember(key, &reply).await?;
    Ok(reply)
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> ApiError {
        match error {
            ImportError::Catalogue(error) => error.into(),
            ImportError::Account(error) => error.into(),
            ImportError::Store(error) => error.into(),
        }
    }
}
