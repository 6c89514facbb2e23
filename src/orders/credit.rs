//! Credit notes: what a refund takes off an invoice. A refund that failed after it had succeeded is corrected by a paper
//! of its own in the same series of numbers, which takes the note back; neither ever changes. Whose they are stands on
//! the invoice, which doesn't either.

use std::num::ParseIntError;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::invoice::{self, Invoice, Seller};
use crate::address::Address;
use crate::clock::Time;
use crate::described::Described;
use crate::id::{CreditNoteId, InvoiceId, OrderId, RefundId};
use crate::money::{Currency, Money};

/// Money that was invoiced and given back; or, of a correction, that was not after all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreditNote {
    pub order: OrderId,
    pub invoice: InvoiceId,
    pub refund: RefundId,
    pub amount: Money,
    /// How much of the amount is tax; `None` on notes of an earlier till.
    pub tax: Option<Money>,
    /// What it is for; none: an amount.
    pub lines: Vec<Credited>,
    pub reason: String,
    pub at: Time,
    /// The credit note that this one takes back.
    pub corrects: Option<CreditNoteId>,
}

/// Units of an invoice's line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credited {
    pub line: u64,
    pub units: u32,
    /// What they cost, after their discount and without tax.
    pub net: Money,
}

/// A credit note's number as it is printed.
pub fn number(id: CreditNoteId) -> String {
    format!("CN-{:06}", id.0)
}

/// A number as it is printed, or bare, in a path.
pub struct Numbered(pub CreditNoteId);

impl FromStr for Numbered {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        // As printed it has zeros in front, which ids in paths don't.
        text.strip_prefix("CN-").unwrap_or(text).parse().map(|number| Numbered(CreditNoteId(number)))
    }
}

impl Described for Numbered {
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(CN-)?[0-9]{1,18}$"})
    }
}

/// The credit note of a refund that counts: its last, unless that one was taken back. `notes` are an order's, oldest
/// first.
pub fn live(notes: &[(CreditNoteId, CreditNote)], refund: RefundId) -> Option<&(CreditNoteId, CreditNote)> {
    notes.iter().rfind(|(_, note)| note.refund == refund).filter(|(_, note)| note.corrects.is_none())
}

/// What of an invoice is not credited yet, in minor units.
struct Left {
    amount: i64,
    tax: i64,
}

fn left(invoice: &Invoice, notes: &[(CreditNoteId, CreditNote)]) -> Left {
    let mut left = Left { amount: invoice.total.minor, tax: invoice.tax.minor };
    for (_, note) in notes {
        let sign = if note.corrects.is_some() { 1 } else { -1 };
        left.amount += sign * note.amount.minor;
        left.tax += sign * tax_of(invoice, note);
    }
    left
}

/// The tax in a note. Of one that does not say, its share.
fn tax_of(invoice: &Invoice, note: &CreditNote) -> i64 {
    let share = || invoice.tax.share(note.amount.minor, invoice.total.minor.max(1));
    note.tax.or_else(|| share().ok()).map_or(0, |tax| tax.minor)
}

/// Units of a line that are credited.
fn units_before(notes: &[(CreditNoteId, CreditNote)], line: u64) -> u32 {
    let credited = |is_correction: bool| -> u32 {
        let notes = notes.iter().filter(|(_, note)| note.corrects.is_some() == is_correction);
        let lines = notes.flat_map(|(_, note)| &note.lines).filter(|one| one.line == line);
        lines.map(|one| one.units).sum()
    };
    credited(false).saturating_sub(credited(true))
}

/// How `amount`, which goes back for units of `lines` or for none in particular, splits into lines and tax. Shares of
/// a line sum to the line, and when all of the invoice went back all of its tax did. `notes` are the order's so far.
pub fn split(
    invoice: &Invoice,
    notes: &[(CreditNoteId, CreditNote)],
    amount: Money,
    lines: &[(u64, u32)],
) -> (Vec<Credited>, Money) {
    let money = |minor: i64| Money { minor, ..amount };
    let mut credited = Vec::new();
    let (mut net, mut tax) = (0, 0);
    for (id, units) in lines {
        let Some(line) = invoice.lines.iter().find(|line| line.id == *id) else { continue };
        let from = units_before(notes, *id).min(line.quantity);
        let to = from.saturating_add(*units).min(line.quantity);
        // A part of what fits is no more than that.
        let part = |whole: i64, units: u32| {
            let share = money(whole).share(i64::from(units), i64::from(line.quantity.max(1)));
            share.map_or(0, |share| share.minor)
        };
        let of = |whole: i64| part(whole, to) - part(whole, from);
        let own = of(line.total.minor - line.discount.minor);
        (net, tax) = (net + own, tax + of(line.tax.minor));
        if to > from {
            credited.push(Credited { line: *id, units: to - from, net: money(own) });
        }
    }
    let left = left(invoice, notes);
    let is_rest = amount.minor == left.amount;
    let tax = match left.amount {
        // By the lines, where that is what they cost.
        _ if !is_rest && !credited.is_empty() && net + tax == amount.minor => tax,
        // By its share in what is left.
        1.. => {
            money(left.tax).share(amount.minor.min(left.amount), left.amount).map_or(0, |share| share.minor)
        }
        _ => 0,
    };
    // Not so little that there would be more left than money, nor more than is left: where more is given back than was
    // invoiced, that is no tax.
    let least = (amount.minor - (left.amount - left.tax)).max(0);
    let tax = tax.max(least).min(left.tax.max(0)).clamp(0, amount.minor.max(0));
    (credited, money(tax))
}

impl CreditNote {
    pub fn is_correction(&self) -> bool {
        self.corrects.is_some()
    }

    pub fn kind(&self) -> Kind {
        if self.is_correction() { Kind::Correction } else { Kind::CreditNote }
    }

    /// The note as JSON. `invoice` is the one that it is about.
    pub fn view(&self, id: CreditNoteId, invoice: &Invoice) -> CreditNoteView {
        let item = |one: &Credited| {
            let line = invoice.lines.iter().find(|line| line.id == one.line);
            CreditedView {
                line_id: one.line,
                sku: line.and_then(|line| line.sku.clone()),
                name: line.map(|line| line.name.clone()),
                quantity: one.units,
                net: one.net,
            }
        };
        CreditNoteView {
            number: number(id),
            kind: self.kind(),
            corrects: self.corrects.map(number),
            invoice_number: invoice::number(self.invoice),
            order_id: self.order,
            order_number: invoice.order_number.clone(),
            refund_id: self.refund,
            issued_at: self.at,
            seller: invoice.seller.clone(),
            email: invoice.email.clone(),
            billing_address: invoice.billing_address.clone(),
            items: self.lines.iter().map(item).collect(),
            net: self.tax.map(|tax| Money { minor: self.amount.minor - tax.minor, ..tax }),
            tax: self.tax,
            total: self.amount,
            currency: self.amount.currency,
            reason: self.reason.clone(),
        }
    }
}

/// What kind of paper a credit note is.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    CreditNote,
    Correction,
}

/// Money that was invoiced and given back; or, of a correction, that was not after all.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CreditNote")]
pub struct CreditNoteView {
    /// Without gaps; corrections are numbered among the credit notes.
    number: String,
    kind: Kind,
    /// The number of the credit note that a correction takes back; null for others.
    corrects: Option<String>,
    invoice_number: String,
    order_id: OrderId,
    order_number: String,
    refund_id: RefundId,
    issued_at: Time,
    seller: Seller,
    email: String,
    billing_address: Address,
    /// None where an amount went back, and not units.
    items: Vec<CreditedView>,
    /// Null on notes of an earlier till, which did not say.
    net: Option<Money>,
    tax: Option<Money>,
    total: Money,
    currency: Currency,
    reason: String,
}

/// Units of a line that went back.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CreditNoteItem")]
struct CreditedView {
    line_id: u64,
    sku: Option<String>,
    name: Option<String>,
    quantity: u32,
    /// What they cost, after their discount and without tax.
    net: Money,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::papers::tests::invoice_of;
    use super::*;

    fn note(
        amount: Money,
        (lines, tax): (Vec<Credited>, Money),
        corrects: Option<CreditNoteId>,
    ) -> CreditNote {
        CreditNote {
            order: OrderId(1),
            invoice: InvoiceId(1),
            refund: RefundId(1),
            amount,
            tax: Some(tax),
            lines,
            reason: String::new(),
            at: Time(0),
            corrects,
        }
    }

    #[test]
    fn money_beyond_the_invoice_has_no_tax_and_a_note_of_an_earlier_till_has_its_share() {
        let invoice = invoice_of(&[(1, 1000, 0, 200)], 0);
        let money = |minor: i64| Money { minor, ..invoice.total };
        let tax = |notes: &[_], minor| split(&invoice, notes, money(minor), &[]).1.minor;
        let mut notes = vec![(CreditNoteId(1), note(money(600), (Vec::new(), money(100)), None))];
        assert_eq!((tax(&notes, 600), tax(&notes, 900)), (100, 100), "no more than is left");
        notes[0].1.tax = None;
        assert_eq!((tax(&notes, 300), tax(&notes, 600)), (50, 100));
        notes.push((CreditNoteId(2), note(money(600), (Vec::new(), money(100)), None)));
        assert_eq!(tax(&notes, 600), 0);
    }

    proptest! {
        /// Whatever goes back, by lines or sums, and some of it not after all: when all did, all the tax did, and each
        /// line's units cost what the line cost.
        #[test]
        fn what_goes_back_sums_to_the_invoice(
            lines in prop::collection::vec((1_u32..5, 0_i64..10_000, 0_i64..2_000, 0_i64..3_000), 1..4),
            shipping in 0_i64..900,
            steps in prop::collection::vec((0_u64..5, 1_u32..4, 0_i64..30_000, prop::bool::weighted(0.2)), 0..8),
        ) {
            let invoice = invoice_of(&lines, shipping);
            let money = |minor: i64| Money { minor, ..invoice.total };
            let mut notes: Vec<(CreditNoteId, CreditNote)> = Vec::new();
            let add = |notes: &mut Vec<_>, note: CreditNote| {
                notes.push((CreditNoteId(notes.len() as u64 + 1), note));
            };
            for (line, units, sum, fails) in steps {
                let rest = left(&invoice, &notes);
                let wanted = invoice.lines.iter().find(|one| one.id == line);
                let units = wanted.map(|one| units.min(one.quantity - units_before(&notes, one.id)));
                let asked: Vec<_> = units.filter(|units| *units > 0).map(|units| (line, units)).into_iter().collect();
                let amount = money(sum.min(rest.amount));
                let said = note(amount, split(&invoice, &notes, amount, &asked), None);
                let tax = said.tax.expect("it has one").minor;
                prop_assert!((0..=amount.minor).contains(&tax) && tax <= rest.tax, "{tax} of {}", amount.minor);
                prop_assert!(amount.minor - tax <= rest.amount - rest.tax, "more net than there is");
                add(&mut notes, said.clone());
                if fails {
                    let wrong = notes.last().map(|(number, _)| *number);
                    add(&mut notes, CreditNote { corrects: wrong, ..said });
                    let now = left(&invoice, &notes);
                    prop_assert_eq!((now.amount, now.tax), (rest.amount, rest.tax));
                }
            }
            let rest = left(&invoice, &notes);
            let all: Vec<_> = invoice.lines.iter().map(|one| (one.id, one.quantity)).collect();
            let last = note(money(rest.amount), split(&invoice, &notes, money(rest.amount), &all), None);
            prop_assert_eq!(last.tax.expect("it has one").minor, rest.tax);
            add(&mut notes, last);
            for line in &invoice.lines {
                let sign = |note: &CreditNote| if note.corrects.is_some() { -1 } else { 1 };
                let of_line = |note: &CreditNote| note.lines.iter().filter(|one| one.line == line.id).map(|one| one.net.minor).sum::<i64>();
                let net: i64 = notes.iter().map(|(_, note)| sign(note) * of_line(note)).sum();
                prop_assert_eq!(net, line.total.minor - line.discount.minor, "line {}", line.id);
            }
        }
    }
}
