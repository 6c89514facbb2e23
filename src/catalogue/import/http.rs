//! `/api/admin/products/import/` and the records of imports: for staff.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::Serialize;

use super::apply::ImportError;
use super::check::How;
use super::job::{Job, gone, running};
use super::record::{IMPORTS, Import, State};
use super::spool::{Format, Spool, Spooled};
use super::undo::{self, Undone};
use super::{Counts, Mode, Report};
use crate::accounts::{Scope, for_staff};
use crate::app::App;
use crate::clock::Time;
use crate::http::idempotency::InFlight;
use crate::http::input::Nothing;
use crate::http::{Answer, ApiError, LINES, Req, Routes, get, ok, post, teller, unsupported};
use crate::id::ImportId;
use crate::store::{Direction, Seen, StoreError};
use crate::telemetry::aside;

/// Most bytes of a file that is imported.
const LIMIT: u64 = 4 << 30;
/// Pieces of it that are written to the disk at once.
const PIECES: usize = 32;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/products/import/",
            post(
                import,
                for_staff(Scope::ProductsWrite, "Import a file of products")
                    .more(
                        "CSV with the columns of an export or of Shopify's, or JSON lines. All is checked before \
                         anything is changed. Whoever accepts application/x-ndjson is told how far it is, a line \
                         each time; the last one has the answer, and its status.",
                    )
                    .query::<bool>("dry_run", "Only check, and tell what would be done.")
                    .query::<Mode>("mode", "Whether what is there already may be changed; upsert if it is not given.")
                    .query::<bool>("skip_bad", "Import the good rows where others are bad, too.")
                    .query::<bool>("resume", "Go on with an import of the same file that was cut short.")
                    .once()
                    .takes_file(&["text/csv", LINES, "application/jsonl"])
                    .gives::<Report>()
                    .gives_files(&[LINES])
                    .refuses(&[
                        (409, "import_running"),
                        (409, "nothing_to_resume"),
                        (422, "import_refused"),
                        (503, "import_stopped"),
                    ]),
            ),
        )
        .at(
            "/api/admin/products/imports/",
            get(list, for_staff(Scope::ProductsRead, "Imports, newest first").lists::<ImportView>()),
        )
        .at(
            "/api/admin/products/imports/{id}/",
            get(show, for_staff(Scope::ProductsRead, "An import").gives::<ImportView>()),
        )
        .at(
            "/api/admin/products/imports/{id}/undo/",
            post(
                put_back,
                for_staff(Scope::ProductsWrite, "Put back what an import changed")
                    .more("Within 30 days. What somebody has changed since stays as it is.")
                    .once()
                    .may_take::<Nothing>()
                    .gives::<ImportUndo>()
                    .refuses(&[
                        (409, "import_running"),
                        (409, "import_not_undoable"),
                        (409, "nothing_to_resume"),
                        (503, "import_stopped"),
                    ]),
            ),
        )
}

/// An import that changed something.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Import")]
struct ImportView {
    id: ImportId,
    #[schemars(with = "State")]
    state: &'static str,
    /// Whether it is being worked on right now.
    running: bool,
    /// Who began it.
    by: String,
    created_at: Time,
    finished_at: Option<Time>,
    /// Of the file: its rows or lines.
    entries: u32,
    /// How many of the entries are dealt with.
    done: u32,
    /// Products that an undo has put back.
    restored: u64,
    /// Products that an undo has taken out of the shop.
    archived: u64,
    #[serde(flatten)]
    counts: Counts,
}

impl ImportView {
    fn new(id: ImportId, import: Import, app: &App) -> ImportView {
        ImportView {
            id,
            state: import.state.as_str(),
            running: app.in_flight.has(&running(id)),
            by: import.by,
            created_at: import.at,
            finished_at: import.finished_at,
            entries: import.entries,
            done: import.done,
            restored: import.restored,
            archived: import.archived,
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

/// There is one import, or undo, at a time.
fn alone(app: &App) -> Result<InFlight, ApiError> {
    app.in_flight.enter("import").map_err(|_| {
        ApiError::new(409, "import_running", "Another import is running, or being undone; wait for its end.")
    })
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
    if dry_run && resume {
        return Err(ApiError::field("dry_run", "does not go with resume"));
    }
    let how = How { mode: req.query.word("mode")?.unwrap_or_default(), skip_bad, is_lines: !is_csv };

    // Before anything is sent, so that no two files take up the disk for nothing.
    let alone = if dry_run { None } else { Some(alone(&req.app)?) };
    let spooled = spool(&mut req).await?;
    let format =
        if is_csv { spooled.csv().map_err(|said| ApiError::field("file", said))? } else { Format::Lines };

    let (key, guard) = req.once_key()?.unzip();
    // In one look: the answer to a request that was cut off may be stored at any moment.
    let began = match req.seen(key.as_ref())? {
        Seen::Done(before) => return Ok(before),
        Seen::Began(id) => Some(ImportId(id)),
        Seen::New => None,
    };
    let (teller, told) = teller(&req.app);
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
        teller,
        alone,
    };
    let app = Arc::clone(&req.app);
    let ending = async move {
        let reply = aside(move || job.run()).await.map_err(ApiError::internal)??;
        crate::http::remember(&app, key, &reply).await?;
        drop(guard);
        Ok(reply)
    };
    told.answer(&req, ending).await
}

/// Keeps the body as a file, written on threads that may wait.
async fn spool(req: &mut Req) -> Result<Spooled, ApiError> {
    let (dir, mut body) = (req.app.config.data_dir.clone(), req.upload(LIMIT)?);
    let mut spool = off(move || Spool::begin(&dir)).await?;
    let mut pieces = Vec::new();
    loop {
        let piece = body.next().await?;
        let is_last = piece.is_none();
        pieces.extend(piece);
        if is_last || pieces.len() == PIECES {
            let some = std::mem::take(&mut pieces);
            spool = off(move || {
                some.iter().try_for_each(|piece| spool.add(piece))?;
                Ok(spool)
            })
            .await?;
        }
        if is_last {
            req.digest = body.digest();
            return off(|| spool.finish()).await;
        }
    }
}

/// Does what may wait for the disk off the async threads.
async fn off<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let done = aside(work).await.map_err(ApiError::internal)?;
    done.map_err(|error| {
        tracing::error!(%error, "a file that is imported can't be kept");
        StoreError::Disk(error.to_string()).into()
    })
}

/// What putting an import back came to.
#[derive(Serialize, JsonSchema)]
struct ImportUndo {
    id: ImportId,
    #[serde(flatten)]
    undone: Undone,
}

async fn put_back(mut req: Req, id: ImportId) -> Answer {
    let by = req.staff(Scope::ProductsWrite)?;
    let _: Nothing = req.json_or_nothing().await?;
    let (key, _guard) = req.once_key()?.unzip();
    if let Some(before) = req.answered(key.as_ref())? {
        return Ok(before);
    }
    let _alone = alone(&req.app)?;
    let import = req.app.store.read(|tx| IMPORTS.get(tx, &id))?.ok_or_else(ApiError::not_found)?;
    if !import.is_undoable() {
        let said = match import.state {
            State::Undone => "This import was put back already.",
            _ => "What this import changed is not kept any more; it can't be put back.",
        };
        return Err(ApiError::new(409, "import_not_undoable", said));
    }
    let _mark = req.app.in_flight.enter(&running(id));
    let (mut all, mut last) = (Undone::default(), None);
    loop {
        let by = by.clone();
        let (undone, next) = req.write(move |tx| Ok(undo::step(tx, id, last, &by)?)).await?;
        all.add(undone);
        last = next;
        if last.is_none() {
            break;
        }
        if req.app.stopping.load(Ordering::Relaxed) {
            let said = "The undo was stopped half-way; undo it once more to go on.";
            return Err(ApiError::new(503, "import_stopped", said));
        }
    }
    let reply = ok(&ImportUndo { id, undone: all });
    req.remember(key, &reply).await?;
    Ok(reply)
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> ApiError {
        match error {
            ImportError::Gone => gone(),
            ImportError::Catalogue(error) => error.into(),
            ImportError::Account(error) => error.into(),
            ImportError::Store(error) => error.into(),
        }
    }
}
