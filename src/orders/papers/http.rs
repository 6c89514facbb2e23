//! Invoices and credit notes over HTTP, in three forms.

use std::time::Duration;

use http::{StatusCode, header};
use schemars::JsonSchema;

use super::super::credit::{self, CreditNote, CreditNoteView, Numbered};
use super::super::invoice::InvoiceView;
use super::super::model::OrderError;
use super::super::{invoice, ops};
use super::Paper;
use crate::accounts::{Purpose, Scope, for_user_or_token};
use crate::app::App;
use crate::clock::Time;
use crate::http::{Answer, ApiError, Op, Reply, Req, Routes, get, ok};
use crate::id::{CreditNoteId, OrderId};
use crate::page::Paged;

/// How long a paper's link is good.
const LINK_LASTS: Duration = Duration::from_hours(24);
const LINK: Purpose = Purpose { name: "paper", lasts: LINK_LASTS };

pub fn routes() -> Routes {
    Routes::new()
        .at(
            "/api/orders/{id}/invoice/",
            get(
                show_invoice,
                paper_op::<InvoiceView>("An order's invoice").refuses(&[(404, "invoice_not_ready")]),
            ),
        )
        .at(
            "/api/orders/{id}/credit-notes/",
            get(
                list_notes,
                for_user_or_token(
                    Scope::OrdersRead,
                    "An order's credit notes and their corrections, oldest first",
                )
                .lists::<CreditNoteView>(),
            ),
        )
        .at(
            "/api/orders/{id}/credit-notes/{number}/",
            get(show_note, paper_op::<CreditNoteView>("A credit note")),
        )
}

/// What is said of a paper: whose the order is may see it, and whoever has its link.
fn paper_op<T: JsonSchema>(says: &'static str) -> Op {
    for_user_or_token(Scope::OrdersRead, says)
        .more("As JSON, as a page, or as a PDF: by format, else by Accept. With a link that the order gives nobody needs to be logged in.")
        .or_by_link()
        .query::<Form>("format", "Beats Accept.")
        .query::<u64>("expires", "Of a link: until when it is good, in seconds since 1970.")
        .gives::<T>()
        .gives_files(&["text/html", "application/pdf"])
        .with_headers(&["Content-Disposition"])
        .refuses(&[(403, "link_invalid"), (406, "not_acceptable")])
}

/// What a link's signature is over.
fn signed(path: &str, expires: i64) -> String {
    format!("{} until {expires}", path.trim_end_matches('/'))
}

/// A link to the paper at `path` that a browser can open.
fn link(app: &App, path: &str, now: Time) -> String {
    let expires = now.plus(LINK_LASTS).seconds();
    let signature = app.keys.sign(LINK, &signed(path, expires));
    format!("{path}?format=html&expires={expires}&signature={signature}")
}

pub fn invoice_link(app: &App, order: OrderId, now: Time) -> String {
    link(app, &format!("/api/orders/{order}/invoice/"), now)
}

pub fn note_link(app: &App, order: OrderId, note: CreditNoteId, now: Time) -> String {
    link(app, &format!("/api/orders/{order}/credit-notes/{}/", credit::number(note)), now)
}

/// The order's papers are for who may see the order, and for who has the paper's link.
fn may_see(req: &Req, id: OrderId) -> Result<(), ApiError> {
    let said = "must be a number of seconds since 1970";
    let seconds = |text: &str| text.parse::<i64>().ok().filter(|at| *at >= 0);
    let expires = req.query.read("expires", said, seconds)?.unwrap_or(0);
    let Some(signature) = req.query.get("signature") else { return req.own_order(id).map(drop) };
    let good = req.app.keys.is_signed(LINK, &signed(&req.path, expires), signature, req.now());
    if good && expires > req.now().seconds() {
        return Ok(());
    }
    Err(ApiError::new(403, "link_invalid", "This link is not valid any more; open the order for a new one."))
}

async fn show_invoice(req: Req, id: OrderId) -> Answer {
    may_see(&req, id)?;
    let form = req.form()?;
    let (number, found) = req.app.store.read(|tx| ops::invoice(tx, id))?;
    Ok(match form {
        Form::Json => ok(&found.view(number)),
        form => paper(form, &invoice::number(number), &Paper::of_invoice(number, &found)),
    })
}

async fn list_notes(req: Req, id: OrderId) -> Answer {
    req.own_order(id)?;
    let page = req.page()?;
    // An order has as many as it has refunds: few.
    let notes = req.app.store.read(|tx| {
        let notes = ops::credit_notes(tx, id)?;
        if notes.is_empty() {
            return Ok(Vec::new());
        }
        let (_, invoice) = ops::invoice(tx, id)?;
        Ok::<_, OrderError>(notes.iter().map(|(number, note)| note.view(*number, &invoice)).collect())
    })?;
    let count = notes.len() as u64;
    let items = notes.into_iter().skip(page.offset() as usize).take(page.size as usize).collect();
    req.list(page, Paged { count, items })
}

async fn show_note(req: Req, id: OrderId, Numbered(number): Numbered) -> Answer {
    may_see(&req, id)?;
    let form = req.form()?;
    let (note, invoice): (CreditNote, _) = req.app.store.read(|tx| {
        let found = ops::credit_notes(tx, id)?.into_iter().find(|(one, _)| *one == number);
        let (_, note) = found.ok_or(OrderError::NotFound)?;
        Ok::<_, OrderError>((note, ops::invoice(tx, id)?.1))
    })?;
    Ok(match form {
        Form::Json => ok(&note.view(number, &invoice)),
        form => paper(form, &credit::number(number), &Paper::of_credit_note(number, &note, &invoice)),
    })
}

/// The forms that a paper comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Json,
    Html,
    Pdf,
}

crate::words!(Form: ["json", "html", "pdf"]);

impl Form {
    /// In the order in which they are preferred by who does not care.
    const ALL: [(Form, [&str; 3]); 3] = [
        (Form::Json, ["application/json", "application/*", "*/*"]),
        (Form::Html, ["text/html", "text/*", "*/*"]),
        (Form::Pdf, ["application/pdf", "application/*", "*/*"]),
    ];

    /// The one that an `Accept` header prefers (RFC 9110, 12.5.1).
    fn accepted(header: &str) -> Option<Form> {
        if header.trim().is_empty() {
            return Some(Form::Json);
        }
        let weight = |wanted: [&str; 3]| {
            let ranges = header.split(',').map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default();
                let q =
                    parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
                (name, q)
            });
            // The most specific range that fits counts.
            let fits = ranges.filter_map(|(name, q)| Some((wanted.iter().position(|one| *one == name)?, q)));
            fits.min_by_key(|(place, _)| *place).map_or(0.0, |(_, q): (usize, f32)| q)
        };
        let mut best = (None, 0.0);
        for (form, wanted) in Form::ALL {
            let weight = weight(wanted);
            if weight > best.1 {
                best = (Some(form), weight);
            }
        }
        best.0
    }
}

impl Req {
    /// Which form of a paper is asked for: by `?format=`, else by `Accept`.
    fn form(&self) -> Result<Form, ApiError> {
        let form = match self.query.get("format") {
            Some("json") => Some(Form::Json),
            Some("html") => Some(Form::Html),
            Some("pdf") => Some(Form::Pdf),
            Some(_) => None,
            None => Form::accepted(&self.header(header::ACCEPT).unwrap_or_default().to_ascii_lowercase()),
        };
        let said = "A paper can be had as application/json, text/html or application/pdf.";
        form.ok_or_else(|| ApiError::new(406, "not_acceptable", said))
    }
}

/// A paper to look at, in a browser or as a file called by its number.
fn paper(form: Form, number: &str, paper: &Paper) -> Reply {
    let named = |reply: Reply, ending: &str| {
        reply.header(header::CONTENT_DISPOSITION, &format!("inline; filename=\"{number}.{ending}\""))
    };
    if form == Form::Pdf {
        return named(Reply::bytes(StatusCode::OK, "application/pdf", paper.pdf()), "pdf");
    }
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    named(Reply::bytes(StatusCode::OK, "text/html; charset=utf-8", paper.html()), "html")
        .header(header::CONTENT_SECURITY_POLICY, policy)
}
