//! `/api/admin/backup/` and `/api/admin/backups/`: for administrators.

use std::ops::ControlFlow;
use std::sync::Arc;

use http::header;

use super::format::{Header, write};
use super::make::{MakeError, make};
use super::shelf::{Kept, Shelf, ShelfError};
use crate::accounts::{Scope, for_admin};
use crate::http::input::Nothing;
use crate::http::{Answer, ApiError, Reply, Req, Routes, created, get, piped, post, teller};
use crate::page::Paged;

/// What a backup is sent as.
pub const MEDIA_TYPE: &str = "application/vnd.till.backup";

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/backup/",
            post(
                stream,
                for_admin(Scope::All, "Make a backup and send it")
                    .may_take::<Nothing>()
                    .gives_files(&[MEDIA_TYPE])
                    .with_headers(&["Content-Disposition"]),
            ),
        )
        .at(
            "/api/admin/backups/",
            get(
                list,
                for_admin(Scope::ShopRead, "Backups that the schedule keeps, newest first")
                    .lists::<Kept>()
                    .refuses(&[(502, "backup_place_failed")]),
            )
            .post(
                keep,
                for_admin(Scope::All, "Make a backup and keep it where the schedule keeps them")
                    .may_take::<Nothing>()
                    .answers::<Kept>(201, "It is kept.")
                    .tells()
                    .refuses(&[
                        (409, "backup_running"),
                        (502, "backup_place_failed"),
                        (502, "backup_failed"),
                    ]),
            ),
        )
}

/// Streams one snapshot.
async fn stream(mut req: Req) -> Answer {
    req.admin(Scope::All)?;
    req.json_or_nothing::<Nothing>().await?;
    // What can't be read is told before anything is sent.
    let name = req.app.store.read(Header::of)?.file_name();
    let app = Arc::clone(&req.app);
    let body = piped(move |pipe| {
        app.store.read(|tx| write(tx, &Header::of(tx)?, pipe, |_| ControlFlow::Continue(())))
    });
    let disposition = format!("attachment; filename=\"{name}\"");
    Ok(Reply::stream(MEDIA_TYPE, body).header(header::CONTENT_DISPOSITION, &disposition))
}

/// What the shelf has of this shop.
async fn list(req: Req) -> Answer {
    req.admin(Scope::ShopRead)?;
    let page = req.page()?;
    let mut all = Shelf::of(&req.app.config)?.list().await?;
    all.retain(|kept| kept.shop == req.app.shop);
    let count = all.len() as u64;
    let from = usize::try_from(page.offset()).unwrap_or(usize::MAX).min(all.len());
    let items = all.split_off(from).into_iter().take(page.size as usize).collect();
    req.list(page, Paged { count, items })
}

/// Makes a backup now, as the schedule does.
async fn keep(mut req: Req) -> Answer {
    req.admin(Scope::All)?;
    req.json_or_nothing::<Nothing>().await?;
    let (app, (_teller, told)) = (Arc::clone(&req.app), teller(&req.app));
    let ending = async move {
        // It goes on when the client hangs up, so that nothing half-done is left where it is kept.
        let making = tokio::spawn(async move { make(&app, None).await });
        let kept = making.await.map_err(ApiError::internal)??;
        Ok(created(&kept))
    };
    told.answer(&req, ending).await
}

impl From<ShelfError> for ApiError {
    fn from(error: ShelfError) -> ApiError {
        ApiError::new(
            502,
            "backup_place_failed",
            format!("Where the backups are kept can't be used: {error}"),
        )
    }
}

impl From<MakeError> for ApiError {
    fn from(error: MakeError) -> ApiError {
        if let MakeError::Running = error {
            return ApiError::new(409, "backup_running", "Another backup is being made; wait for its end.");
        }
        ApiError::new(502, "backup_failed", format!("No good backup could be made: {error}"))
    }
}
