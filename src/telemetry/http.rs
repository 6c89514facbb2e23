//! `POST /api/admin/errors/test/`: for administrators.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::Errors;
use crate::accounts::{Scope, for_admin};
use crate::http::input::Nothing;
use crate::http::{Answer, ApiError, Req, Routes, ok, post};

pub fn routes() -> Routes {
    Routes::new().at(
        "/api/admin/errors/test/",
        post(
            test,
            for_admin(Scope::All, "Try out how errors are reported")
                .more("Sends one report that says that nothing is wrong, at once, to each that errors are reported to.")
                .may_take::<Nothing>()
                .gives::<Tried>()
                .refuses(&[(409, "errors_unreported")]),
        ),
    )
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErrorsTried")]
struct Tried {
    results: Vec<TriedView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErrorsTriedOne")]
struct TriedView {
    /// `sentry` or `rollbar`.
    to: &'static str,
    taken: bool,
    /// Why it was not taken.
    said: Option<String>,
}

async fn test(mut req: Req) -> Answer {
    req.admin(Scope::All)?;
    req.json_or_nothing::<Nothing>().await?;
    let mut errors = Arc::clone(&req.app.errors);
    if !errors.is_on() {
        // A shop that is stopped reports nothing by itself.
        errors = Arc::new(Errors::new(&req.app.config));
    }
    if !errors.is_on() {
        let detail = "Errors are reported to nobody: set errors.sentry_dsn or errors.rollbar_token.";
        return Err(ApiError::new(409, "errors_unreported", detail));
    }
    let tried = errors.try_out().await.into_iter();
    let results = tried.map(|(to, result)| TriedView { to, taken: result.is_ok(), said: result.err() });
    Ok(ok(&Tried { results: results.collect() }))
}
