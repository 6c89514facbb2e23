//! Papers as people get them: read back with poppler's `pdftotext`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::catalogue::Choice;
use crate::id::{OrderId, ProductId, VariantId};
use crate::orders::OrderLine;

fn money(minor: i64) -> Money {
    Money { minor, currency: "EUR".parse().expect("a known code") }
}

fn line(id: u64, name: &str) -> OrderLine {
    let quantity = 1 + (id % 3) as u32;
    let unit_price = money(450 + 1234 * id as i64 % 99_000);
    OrderLine {
        id,
        product: ProductId(id),
        variant: VariantId(id),
        sku: Some(format!("TEA-{id:03}")),
        name: name.to_owned(),
        options: vec![Choice { option: "Weight".into(), value: "250 g".into() }],
        unit_price,
        quantity,
        total: unit_price.times(quantity).expect("small"),
        discount: money(0),
        tax: money(0),
        restocked: 0,
        withdrawn: 0,
    }
}

fn invoice(names: &[&str]) -> Invoice {
    let lines: Vec<_> = names.iter().zip(1..).map(|(name, id)| line(id, name)).collect();
    let subtotal = money(lines.iter().map(|line| line.total.minor).sum());
    let (discount, shipping, tax) = (money(500), money(490), money(subtotal.minor * 19 / 100));
    let billing_address = Address {
        name: "Zoë Papadopoulou".into(),
        line1: "Λεωφόρος Αλεξάνδρας 12".into(),
        line2: "3. Stock links".into(),
        city: "Αθήνα".into(),
        region: "Αττική".into(),
        postal_code: "114 73".into(),
        country: "GR".into(),
        phone: String::new(),
    };
    let shipping_address = Address {
        name: "Олена Шевченко".into(),
        line1: "вул. Хрещатик 1".into(),
        city: "Київ".into(),
        postal_code: "01001".into(),
        country: "UA".into(),
        ..Address::default()
    };
    Invoice {
        order: OrderId(17),
        order_number: "1017".into(),
        issued_at: Time::parse("2026-11-23T13:37:00Z").expect("a time"),
        seller: Seller {
            name: "Tea & Sons GmbH".into(),
            address: "Teeweg 7\n20457 Hamburg\nGermany\n\nVAT DE123456789\nIBAN DE02 1203 0000 0000 2020 51"
                .into(),
        },
        email: "zoe@example.com".into(),
        billing_address,
        shipping_address,
        total: money(subtotal.minor - discount.minor + shipping.minor + tax.minor),
        lines,
        subtotal,
        discount,
        coupon_code: "SPRING".parse().ok(),
        shipping,
        tax,
        payment_method: "stripe".into(),
    }
}

/// An invoice of lines: quantity, unit price, discount and tax.
pub fn invoice_of(lines: &[(u32, i64, i64, i64)], shipping: i64) -> Invoice {
    let mut whole = invoice(&vec!["Tea"; lines.len()]);
    for (line, (quantity, price, discount, tax)) in whole.lines.iter_mut().zip(lines) {
        line.quantity = *quantity;
        line.unit_price = money(*price);
        line.total = money(price * i64::from(*quantity));
        line.discount = money(*discount.min(&line.total.minor));
        line.tax = money(*tax);
    }
    let sum = |of: fn(&OrderLine) -> Money| money(whole.lines.iter().map(|line| of(line).minor).sum());
    let (subtotal, discount, tax) = (sum(|line| line.total), sum(|line| line.discount), sum(|line| line.tax));
    let total = money(subtotal.minor - discount.minor + shipping + tax.minor);
    Invoice { subtotal, discount, shipping: money(shipping), tax, total, ..whole }
}

/// What a reader finds in a PDF, as it stands on the pages; a form feed ends each.
fn read(pdf: &[u8]) -> String {
    let mut reader = Command::new("pdftotext")
        .args(["-layout", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("pdftotext is there: it is part of poppler-utils");
    reader.stdin.take().expect("piped").write_all(pdf).expect("it reads");
    let out = reader.wait_with_output().expect("it ends");
    assert!(out.status.success());
    String::from_utf8(out.stdout).expect("UTF-8")
}

const LONG: &str = "Handgeschöpftes Büttenpapier für Teeetiketten mit Deckelrand, Wasserzeichen und \
    Goldprägung, in der großen Ausführung, zweihundert Blatt";

#[test]
fn an_invoice_says_in_pdf_what_its_page_says_in_the_same_order() {
    let paper = Paper::of_invoice(InvoiceId(42), &invoice(&["Sencha", LONG, "Kettle"]));
    let text = read(&paper.pdf());
    if let Ok(to) = std::env::var("TILL_SHOW_PAPERS") {
        std::fs::write(format!("{to}/invoice.pdf"), paper.pdf()).expect("writable");
        std::fs::write(format!("{to}/invoice.html"), paper.html()).expect("writable");
    }
    let words = [
        "Tea & Sons GmbH",
        "VAT DE123456789",
        "Zoë Papadopoulou",
        "Λεωφόρος Αλεξάνδρας 12",
        "ITEM",
        "Sencha",
        "Weight: 250 g · SKU TEA-001",
        "Handgeschöpftes",
        "Kettle",
        "Subtotal",
        "Discount",
        "−5.00",
        "Shipping",
        "Tax",
        "Total",
        "Paid in full: stripe. Thank you.",
    ];
    let mut at = 0;
    for word in words {
        let found = text[at..].find(word);
        at += found.unwrap_or_else(|| panic!("{word:?} does not follow in {text}"));
    }
    for beside in ["Invoice", "INV-000042", "2026-11-23", "Order 1017", "Олена Шевченко", "Page 1 of 1"]
    {
        assert!(text.contains(beside), "{beside:?} is not in {text}");
    }
}

#[test]
fn long_invoices_have_several_pages_each_with_the_table_s_head() {
    let names: Vec<_> = (0..70).map(|n| if n % 9 == 4 { LONG } else { "First Flush Darjeeling" }).collect();
    for count in 1..=names.len() {
        let paper = Paper::of_invoice(InvoiceId(1), &invoice(&names[..count]));
        let pdf = paper.pdf();
        assert!(pdf.len() < 60_000, "{count} lines take {} bytes", pdf.len());
        assert_eq!(pdf, paper.pdf(), "the same paper makes the same bytes");
        if count % 10 != 0 && count < 60 {
            continue;
        }
        if let Ok(to) = std::env::var("TILL_SHOW_PAPERS") {
            std::fs::write(format!("{to}/long{count}.pdf"), &pdf).expect("writable");
        }
        let text = read(&pdf);
        let pages: Vec<_> = text.split_terminator('\u{c}').collect();
        for (n, page) in pages.iter().enumerate() {
            assert!(page.contains(&format!("Page {} of {}", n + 1, pages.len())), "{page}");
            assert!(page.contains("QUANTITY") && page.contains("SKU TEA-"), "a page without rows: {page}");
        }
        assert_eq!(text.matches("SKU TEA-").count(), count);
    }
}

#[test]
fn credit_notes_and_corrections_say_what_they_are_of() {
    let invoice = invoice(&["Sencha", LONG, "Kettle"]);
    let (lines, tax) = credit::split(&invoice, &[], money(9_500), &[(1, 1), (2, 2)]);
    let note = CreditNote {
        order: OrderId(17),
        invoice: InvoiceId(42),
        refund: crate::id::RefundId(3),
        amount: money(9_500),
        tax: Some(tax),
        lines,
        reason: "The kettle leaks.".into(),
        at: Time::parse("2026-12-01T08:00:00Z").expect("a time"),
        corrects: None,
    };
    let correction = CreditNote { corrects: Some(CreditNoteId(7)), ..note.clone() };
    let of = |note: &CreditNote, id| Paper::of_credit_note(CreditNoteId(id), note, &invoice);
    let by_sum = CreditNote { lines: Vec::new(), tax: None, ..note.clone() };
    for (note, id, words) in [
        (
            &note,
            7,
            vec![
                "Credit note",
                "CN-000007",
                "Invoice INV-000042",
                "Sencha",
                "Adjustment",
                "Net",
                "Tax",
                "Total credited",
                "95.00 EUR",
                "The kettle leaks.",
            ],
        ),
        (
            &correction,
            8,
            vec!["Correction", "CN-000008", "Reverses CN-000007", "Total reversed", "counts no more"],
        ),
        (&by_sum, 9, vec!["CN-000009", "Refund", "Total credited"]),
    ] {
        let paper = of(note, id);
        let text = read(&paper.pdf());
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
        assert_eq!(text.contains("QUANTITY"), !note.lines.is_empty(), "{text}");
        assert!(!text.contains("PRICE"), "{text}");
        if let Ok(to) = std::env::var("TILL_SHOW_PAPERS") {
            std::fs::write(format!("{to}/note{id}.pdf"), paper.pdf()).expect("writable");
            std::fs::write(format!("{to}/note{id}.html"), paper.html()).expect("writable");
        }
    }
}

#[test]
fn what_no_font_has_is_a_box_that_reads_as_what_it_is() {
    let text =
        read(&Paper::of_invoice(InvoiceId(1), &invoice(&["茶 tea 🫖", "a\u{feff}\u{0}b\u{e000}"])).pdf());
    assert!(text.contains("tea") && text.contains('茶') && text.contains('🫖'), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_people_write_makes_a_paper(texts in prop::collection::vec(any::<String>(), 6..=6), wide in "[A-Zß茶]{0,200}") {
        let mut invoice = invoice(&[&texts[0], &texts[1], &wide]);
        invoice.billing_address.name.clone_from(&texts[2]);
        invoice.shipping_address.line1.clone_from(&wide);
        invoice.seller.name.clone_from(&texts[3]);
        invoice.seller.address.clone_from(&texts[4]);
        invoice.payment_method.clone_from(&texts[5]);
        let paper = Paper::of_invoice(InvoiceId(1), &invoice);
        prop_assert!(paper.pdf().starts_with(b"%PDF-"));
        prop_assert!(paper.html().contains("INV-000001"));
    }
}
