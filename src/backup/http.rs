//! `/api/admin/backup/`: for administrators.

use std::ops::ControlFlow;
use std::sync::Arc;

use http::header;

use super::format::{Header, write};
use crate::accounts::Scope;
use crate::http::input::Nothing;
use crate::http::{Answer, Reply, Req, Routes, piped, post};

/// What a backup is sent as.
pub const MEDIA_TYPE: &str = "application/vnd.till.backup";

pub fn routes() -> Routes {
    Routes::new().at("/api/admin/backup/", post(create))
}

/// Streams one snapshot.
async fn create(mut req: Req) -> Answer {
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
