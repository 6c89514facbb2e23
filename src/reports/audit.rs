//! `/api/admin/audit/`: the audit trail, for administrators.

use std::io::{self, Write};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::accounts::{Email, Scope, for_admin, store::USERS};
use crate::audit::Entry;
use crate::audit::store::{AUDIT, BY_SUBJECT, BY_WHO};
use crate::cells::guarded;
use crate::clock::Time;
use crate::http::{Answer, ApiError, FileFormat, LINES, Op, Pipe, Req, Routes, get, piped};
use crate::id::{AuditId, UserId};
use crate::page::{Matches, Page, Paged};
use crate::store::{Direction, Key, ReadTx, Reads, Span, StoreError};
use crate::telemetry::aside;

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/admin/audit/",
            get(
                list,
                filtered(for_admin(
                    Scope::AuditRead,
                    "What was changed in the shop, and by whom, newest first",
                ))
                .lists::<View>(),
            ),
        )
        .at(
            "/api/admin/audit/export/",
            get(
                export,
                filtered(for_admin(Scope::AuditRead, "The audit trail as a file, oldest first"))
                    .query::<FileFormat>("format", "csv if it is not given.")
                    .gives_files(&["text/csv", LINES])
                    .with_headers(&["Content-Disposition", "X-Total-Count"]),
            ),
        )
}

/// With the parameters of a [`Filter`].
fn filtered(op: Op) -> Op {
    op.query::<String>("by", "Who did it, such as admin:1, token:2 or operator.")
        .query::<String>("act", "What was done, such as coupon.create, or to what: coupon.")
        .query::<String>("subject", "To which, such as coupon:SPRING.")
        .query::<Time>("created_after", "Then or later.")
        .query::<Time>("created_before", "Before then.")
}

/// A change of the shop by staff, an administrator, an API token or the operator.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
struct View {
    id: AuditId,
    at: Time,
    /// Such as admin:1, token:2 or operator.
    by: String,
    /// Of the person, where it was one and their account is there; else null.
    by_email: Option<Email>,
    /// Such as coupon.create.
    act: String,
    /// Such as coupon:SPRING.
    subject: String,
    /// What was changed, as it was; null where there was nothing.
    before: Value,
    /// The same, as it became; null where nothing is left.
    after: Value,
}

impl View {
    fn new(tx: &impl Reads, id: AuditId, entry: Entry) -> Result<View, StoreError> {
        let person = match entry.by.split_once(':') {
            Some(("staff" | "admin", id)) => id.parse::<UserId>().ok(),
            _ => None,
        };
        let person = person.map(|id| USERS.get(tx, &id)).transpose()?.flatten();
        // What is written down is JSON, or nothing.
        let value = |text: &str| serde_json::from_str(text).unwrap_or_default();
        Ok(View {
            id,
            at: entry.at,
            by_email: person.map(|user| user.email),
            before: value(&entry.before),
            after: value(&entry.after),
            by: entry.by,
            act: entry.act,
            subject: entry.subject,
        })
    }
}

/// Which entries are wanted.
struct Filter {
    by: Option<String>,
    /// An act, or what it is of: `coupon` is all of `coupon.create`, `coupon.change` and so on.
    act: Option<String>,
    subject: Option<String>,
    after: Option<Time>,
    before: Option<Time>,
}

impl Filter {
    fn of(req: &Req) -> Result<Filter, ApiError> {
        let text = |name: &str| req.query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(Filter {
            by: text("by"),
            act: text("act"),
            subject: text("subject"),
            after: req.query.time("created_after")?,
            before: req.query.time("created_before")?,
        })
    }

    fn lets_through(&self, entry: &Entry) -> bool {
        let is_of = |act: &String| {
            entry.act.strip_prefix(act.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.by.as_ref().is_none_or(|by| entry.by == *by)
            && self.act.as_ref().is_none_or(is_of)
            && self.subject.as_ref().is_none_or(|subject| entry.subject == *subject)
            && self.after.is_none_or(|after| entry.at >= after)
            && self.before.is_none_or(|before| entry.at < before)
    }

    fn is_empty(&self) -> bool {
        self.by.is_none()
            && self.act.is_none()
            && self.subject.is_none()
            && self.after.is_none()
            && self.before.is_none()
    }

    /// Hands what it lets through to `visit`, by the narrowest index there is, until it fails.
    fn each<E: From<StoreError>>(
        &self,
        tx: &ReadTx,
        direction: Direction,
        mut visit: impl FnMut(AuditId, Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut offer = |id, entry: Entry| if self.lets_through(&entry) { visit(id, entry) } else { Ok(()) };
        let (index, at) = match (&self.subject, &self.by) {
            (Some(subject), _) => (&BY_SUBJECT, subject),
            (None, Some(by)) => (&BY_WHO, by),
            (None, None) => return AUDIT.try_scan(tx, Span::all(direction), offer),
        };
        index.try_each(tx, Span::under(at.bytes(), direction), |id| offer(id, AUDIT.expect(tx, &id)?))
    }
}

fn find(tx: &ReadTx, filter: &Filter, page: Page) -> Result<Paged<View>, StoreError> {
    let found = if filter.is_empty() {
        AUDIT.page(tx, page, Direction::Down)?
    } else {
        let mut found = Matches::of(page);
        filter.each(tx, Direction::Down, |id, entry| {
            found.add((id, entry));
            Ok::<_, StoreError>(())
        })?;
        found.done()
    };
    found.try_map(|(id, entry)| View::new(tx, id, entry))
}

async fn list(req: Req) -> Answer {
    req.admin(Scope::AuditRead)?;
    let (page, filter) = (req.page()?, Filter::of(&req)?);
    // It may read every entry, so it is done off the async threads.
    let app = Arc::clone(&req.app);
    let found = aside(move || app.store.read(|tx| find(tx, &filter, page)));
    let found = found.await.map_err(ApiError::internal)??;
    req.list(page, found)
}

/// A CSV row or a JSON line for each entry, oldest first.
async fn export(req: Req) -> Answer {
    req.admin(Scope::AuditRead)?;
    req.query.only(&["format", "by", "act", "subject", "created_after", "created_before"])?;
    let format = req.query.word::<FileFormat>("format")?.unwrap_or_default();
    let filter = Filter::of(&req)?;
    let app = Arc::clone(&req.app);
    let count = |tx: &ReadTx, filter: &Filter| {
        let mut count = 0;
        filter.each(tx, Direction::Up, |_, _| {
            count += 1;
            Ok::<_, StoreError>(())
        })?;
        Ok::<_, StoreError>(count)
    };
    let counting = aside(move || {
        let total = app.store.read(|tx| count(tx, &filter))?;
        Ok::<_, StoreError>((total, filter, app))
    });
    let (total, filter, app) = counting.await.map_err(ApiError::internal)??;
    let body = piped(move |pipe| app.store.read(|tx| write(tx, &filter, format, pipe)));
    Ok(format.reply("audit", total, body))
}

fn write(tx: &ReadTx, filter: &Filter, format: FileFormat, pipe: &mut Pipe) -> io::Result<()> {
    match format {
        FileFormat::Csv => {
            let mut csv = csv::Writer::from_writer(pipe);
            csv.write_record(["id", "at", "by", "by_email", "act", "subject", "before", "after"])?;
            filter.each(tx, Direction::Up, |id, entry| {
                Ok::<_, io::Error>(csv.write_record(row(View::new(tx, id, entry)?))?)
            })?;
            csv.flush()
        }
        FileFormat::Lines => filter.each(tx, Direction::Up, |id, entry| {
            let mut line = serde_json::to_vec(&View::new(tx, id, entry)?)?;
            line.push(b'\n');
            pipe.write_all(&line)
        }),
    }
}

fn row(view: View) -> [String; 8] {
    let text = |value: Value| if value.is_null() { String::new() } else { value.to_string() };
    let email = view.by_email.map_or_else(String::new, |email| guarded(email.as_str()).into_owned());
    let subject = guarded(&view.subject).into_owned();
    let (before, after) = (text(view.before), text(view.after));
    [view.id.to_string(), view.at.to_string(), view.by, email, view.act, subject, before, after]
}
