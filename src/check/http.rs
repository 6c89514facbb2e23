//! `POST /api/admin/check/`: for administrators.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Report, check_all, repair};
use crate::accounts::{Scope, Staff, for_admin};
use crate::app::App;
use crate::audit;
use crate::http::input::{Fields, Input, boolean};
use crate::http::{Answer, ApiError, Req, Routes, Teller, ok, post, teller};
use crate::store::StoreError;
use crate::telemetry::aside;

pub fn routes() -> Routes {
    Routes::new().at("/api/admin/check/", post(
            run,
            for_admin(Scope::ShopRead, "Prove that the shop's data is as it must be")
                .more("Repairing makes indexes and counters anew, and takes a token with the scope all; facts are never touched.")
                .may_take::<Asked>()
                .gives::<Checked>()
                .tells(),
        ))
}

/// What was found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CheckReport")]
struct Checked {
    #[serde(flatten)]
    report: Report,
    /// How many rows were made anew, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<u64>,
}

#[derive(Default)]
struct Asked {
    /// Whether what is derived is made anew where it is wrong.
    repair: bool,
}

impl Input for Asked {
    fn read(from: &mut Fields<'_>) -> Self {
        Asked { repair: from.opt("repair", boolean()).unwrap_or(false) }
    }
}

async fn look(app: &Arc<App>, teller: &Teller) -> Result<Report, ApiError> {
    let (app, teller) = (Arc::clone(app), teller.clone());
    let look = move || {
        check_all(&app.store, &mut |stage, done, of| {
            teller.tell(&json!({"stage": stage, "done": done, "of": of}))
        })
    };
    Ok(aside(look).await.map_err(ApiError::internal)??)
}

async fn run(mut req: Req) -> Answer {
    let by: Staff = req.admin(Scope::ShopRead)?.into();
    let asked: Asked = req.json_or_nothing().await?;
    if asked.repair {
        req.admin(Scope::All)?;
    }
    let app = Arc::clone(&req.app);
    let (teller, told) = teller(&app);
    let ending = async move {
        let looked = look(&app, &teller).await?;
        // The writer is held up only where there is something to mend.
        let is_due = looked.findings.iter().any(|finding| finding.invariant == "I5");
        let (repaired, report) = match asked.repair {
            true if is_due => {
                let repaired = app
                    .store
                    .write(move |tx| {
                        let repaired = repair(tx)?;
                        let after = json!({"repaired": repaired});
                        audit::note(tx, &by.label(), "data.repair", "shop", Value::Null, after)?;
                        Ok::<_, StoreError>(repaired)
                    })
                    .await?;
                (Some(repaired), look(&app, &teller).await?)
            }
            true => (Some(0), looked),
            false => (None, looked),
        };
        Ok(ok(&Checked { report, repaired }))
    };
    told.answer(&req, ending).await
}
