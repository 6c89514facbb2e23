//! The demo shop: products in several categories, customers, past orders, and an administrator. All of it is made
//! by the shop's own acts, on a clock that begins a month ago.

use std::sync::Arc;
use std::time::Duration;

use crate::accounts::{self, NewUser, Passwords, Role, random_password, set_password_of};
use crate::address::Address;
use crate::app::{App, AppError, Parts};
use crate::catalogue::{self, Draft, ProductOption, VariantDraft};
use crate::checkout::{self, Attempt, Basket, Cancelling, Item, Pay, PayError, Placing};
use crate::clock::{Clock, ManualClock, SystemClock};
use crate::config::Config;
use crate::id::{OrderId, ProductId, UserId};
use crate::inventory::Cause;
use crate::orders::{self, GivenBack, Parcel, Tracking};
use crate::payments;
use crate::payments::gateway::test::{Notify, Outcome, PROVIDER, TestGateway};
use crate::promotions::{self, Kind, Terms};
use crate::reviews::{self, ReviewError, Text};
use crate::store::{META, WriteTx};

const ADMIN: &str = "admin@example.com";
const CUSTOMER: &str = "ada@example.com";
/// 10 % off, once for each.
const COUPON: &str = "WELCOME10";

/// Who to log in as.
pub struct Login {
    pub password: String,
}

/// Why the demo could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(
        "{0} has a shop that is no demo; name another directory with --data-dir, or run `till serve` for that shop"
    )]
    RealShop(String),
    #[error("{0}")]
    App(#[from] AppError),
    #[error("the demo could not be prepared: {0}")]
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> DemoError {
    DemoError::Failed(error.to_string())
}

/// Fills the data directory, if it is new, and gives the demo's accounts a new password.
pub async fn prepare(config: &Config) -> Result<Login, DemoError> {
    let past = Arc::new(ManualClock::at(SystemClock.now().minus(Duration::from_hours(720))));
    let parts =
        Parts { clock: Arc::clone(&past) as Arc<dyn Clock>, demo: true, ..Parts::real(config.clone())? };
    let app = App::open(parts)?;
    let mark = app.store.read(|tx| META.get(tx, &"demo".to_owned())).map_err(failed)?;
    let is_new = app.store.seq().map_err(failed)? <= 2;
    if mark.is_none() && !is_new {
        return Err(DemoError::RealShop(config.data_dir.display().to_string()));
    }
    let password = random_password();
    let hash = Passwords::hash_now(&password);
    if mark.is_none() {
        fill(&app, &past, &hash).await?;
    } else {
        let write = app.store.write(move |tx| {
            for email in [ADMIN, CUSTOMER] {
                set_password_of(tx, &email.parse().expect("a good address"), &hash)?;
            }
            Ok::<_, accounts::AccountError>(())
        });
        write.await.map_err(failed)?;
    }
    Ok(Login { password })
}

async fn fill(app: &Arc<App>, clock: &ManualClock, hash: &str) -> Result<(), DemoError> {
    let (drafts, hash) = (products(app), hash.to_owned());
    let made = app.store.write(move |tx| {
        let mut ids = Vec::new();
        for draft in &drafts {
            let cause = Cause::Adjustment { reason: "first stock".into() };
            ids.push(catalogue::create(tx, draft, &cause, "demo")?.0);
        }
        Ok::<_, catalogue::CatalogueError>(ids)
    });
    let products = made.await.map_err(failed)?;
    let people = app.store.write(move |tx| {
        let mut ids = Vec::new();
        for (email, name, role) in [
            (ADMIN, "Demo Administrator", Role::Admin),
            (CUSTOMER, "Ada Lovelace", Role::Customer),
            ("grace@example.com", "Grace Hopper", Role::Customer),
            ("alan@example.com", "Alan Turing", Role::Customer),
        ] {
            let email = email.parse().expect("a good address");
            let new = NewUser { email, name: name.into(), role, password_hash: hash.clone() };
            ids.push(accounts::create_user(tx, &new)?.0);
        }
        Ok::<_, accounts::AccountError>(ids)
    });
    let people = people.await.map_err(failed)?;
    for (n, (who, what, end)) in past_orders().into_iter().enumerate() {
        clock.advance(Duration::from_secs(60 * (2300 + 131 * (n as u64 % 5))));
        let items = what.iter().map(|(product, quantity)| (products[*product], *quantity)).collect();
        order(app, people[who], items, end).await?;
    }
    app.store.write(move |tx| opinions(tx, &people, &products)).await.map_err(failed)?;
    app.store.write(|tx| tx.set_meta("demo", "1")).await.map_err(failed)
}

/// A coupon, and what people say of what they bought.
fn opinions(tx: &mut WriteTx, people: &[UserId], products: &[ProductId]) -> Result<(), ReviewError> {
    let terms = Terms::new(Kind::Percent("10".parse().expect("a rate")));
    let terms = Terms { max_uses_per_user: Some(1), ..terms };
    let code = COUPON.parse().expect("a code");
    promotions::create(tx, &code, &terms).expect("its code is free, and it names no category");
    for (who, product, rating, title, comment) in [
        (1, 0, 5, "Just as it should be", "I have ordered it again."),
        (2, 0, 4, "Good", ""),
        (3, 0, 4, "", "Arrived a day late, but well packed."),
        (2, 12, 3, "It does", "Smaller than I had thought from the picture."),
        (3, 2, 5, "Lovely", ""),
        (1, 6, 2, "Not for me", "Well made all the same."),
    ] {
        let text = Text { rating, title: title.into(), comment: comment.into() };
        reviews::write(tx, people[who], products[product], &text)?;
    }
    Ok(())
}

/// How far a past order came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Paid,
    Shipped,
    Completed,
    Cancelled,
}

/// Who bought what (people and products by their place, and how many), and what became of it.
type Past = (usize, Vec<(usize, u32)>, End);

fn past_orders() -> Vec<Past> {
    vec![
        (1, vec![(0, 2), (6, 1)], End::Completed),
        (2, vec![(12, 1)], End::Completed),
        (3, vec![(2, 1), (8, 1), (16, 1)], End::Completed),
        (1, vec![(20, 1)], End::Cancelled),
        (2, vec![(0, 1), (1, 1), (7, 2)], End::Completed),
        (3, vec![(13, 1)], End::Completed),
        (1, vec![(5, 3)], End::Shipped),
        (2, vec![(17, 1), (3, 2)], End::Shipped),
        (3, vec![(0, 1)], End::Shipped),
        (1, vec![(9, 1), (10, 1)], End::Paid),
        (2, vec![(21, 2)], End::Paid),
    ]
}

async fn order(app: &Arc<App>, who: UserId, items: Vec<(ProductId, u32)>, end: End) -> Result<(), DemoError> {
    let name = app.store.read(|tx| accounts::name_of(tx, who)).map_err(failed)?;
    let shipping_address = Address {
        name,
        line1: "12 Analytical Row".into(),
        city: "London".into(),
        postal_code: "N1 9GU".into(),
        country: "GB".into(),
        ..Address::default()
    };
    let items = items.into_iter().map(|(product, quantity)| Item { product, variant: None, quantity });
    let placing = Placing {
        basket: Basket::Items(items.collect()),
        shipping_address,
        billing_address: None,
        note: String::new(),
        total: None,
    };
    let (rules, what) = (app.rules(), Pay::New(Box::new(placing)));
    let gateway = app.gateways.of(PROVIDER).map_err(failed)?;
    let begun = app.store.write(move |tx| checkout::pay(tx, who, &what, &*gateway, &rules)).await;
    let Attempt::Begun(id) = begun.map_err(|error: PayError| failed(error))? else { return Ok(()) };
    let payment = payments::drive(app, id).await.map_err(failed)?;
    let reference = payment.reference.unwrap_or_default();
    let event =
        TestGateway::decide(&app.store, &reference, Outcome::Succeed, Notify::Once).await.map_err(failed)?;
    TestGateway::tell(app, &reference, event).await.map_err(failed)?;
    if end == End::Cancelled {
        let note = "ordered by mistake".into();
        let what = Cancelling { order: payment.order, staff: None, note, key: None };
        return checkout::cancel(app, what).await.map_err(failed);
    }
    let write = app.store.write(move |tx| move_on(tx, payment.order, end));
    write.await.map_err(failed)
}

fn move_on(tx: &mut WriteTx, id: OrderId, end: End) -> Result<(), orders::OrderError> {
    if matches!(end, End::Shipped | End::Completed) {
        let tracking = Tracking {
            carrier: "Royal Mail".into(),
            number: format!("RM{:09}GB", 473_100 + id.0),
            url: None,
        };
        let parcel = Parcel { lines: Vec::new(), tracking };
        orders::send(tx, id, &parcel, &GivenBack::default(), "demo", "")?;
    }
    if end == End::Completed {
        orders::deliver(tx, id, "demo", "")?;
    }
    Ok(())
}

/// Name, category, price, stock, tags, description.
type Plain = (&'static str, &'static str, &'static str, i64, &'static [&'static str], &'static str);
/// Name, price, option, values with their stock, tags, description.
type Optioned = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, i64)],
    &'static [&'static str],
    &'static str,
);

const PLAIN: &[Plain] = &[
    (
        "Sencha Green Tea 100 g",
        "Tea",
        "8.90",
        120,
        &["green", "loose-leaf"],
        "Steamed spring leaves from Kagoshima, fresh and grassy.",
    ),
    (
        "Earl Grey 100 g",
        "Tea",
        "7.50",
        90,
        &["black", "loose-leaf"],
        "Ceylon black tea with oil of bergamot.",
    ),
    (
        "Genmaicha 100 g",
        "Tea",
        "8.20",
        64,
        &["green", "loose-leaf"],
        "Green tea with roasted rice, mild and nutty.",
    ),
    ("Peppermint Leaves 50 g", "Tea", "4.90", 150, &["herbal"], "Whole leaves, no caffeine."),
    (
        "Oolong Tie Guan Yin 50 g",
        "Tea",
        "12.40",
        32,
        &["oolong", "loose-leaf"],
        "Half-fermented, floral, good for many infusions.",
    ),
    ("Tea Sampler, Six Tins", "Tea", "24.00", 40, &["gift"], "Six small tins to find your favourite."),
    (
        "Espresso Roast 500 g",
        "Coffee",
        "14.50",
        75,
        &["beans", "dark"],
        "Chocolate and hazelnut; for machines and moka pots.",
    ),
    (
        "Ethiopia Yirgacheffe 250 g",
        "Coffee",
        "11.90",
        58,
        &["beans", "light"],
        "Washed heirloom beans with jasmine and lemon.",
    ),
    (
        "Decaf Colombia 250 g",
        "Coffee",
        "10.90",
        44,
        &["beans", "decaf"],
        "Decaffeinated with mountain water.",
    ),
    ("Pour-over Dripper", "Kitchen", "19.00", 25, &["ceramic"], "Glazed stoneware for size 02 filters."),
    ("Paper Filters 02, 100 pieces", "Kitchen", "5.40", 200, &["paper"], "Unbleached."),
    (
        "Cast Iron Teapot 0.8 l",
        "Kitchen",
        "54.00",
        12,
        &["cast-iron", "gift"],
        "Enamelled inside, with a steel strainer.",
    ),
    ("Gooseneck Kettle", "Kitchen", "69.00", 9, &["steel"], "One litre, with a thermometer in the lid."),
    ("Hand Grinder", "Kitchen", "89.00", 7, &["steel"], "Conical steel burrs, 30 clicks."),
    (
        "Digital Scale 2 kg",
        "Kitchen",
        "29.90",
        18,
        &["electric"],
        "Reads to a tenth of a gram, with a timer.",
    ),
    ("Bamboo Whisk", "Kitchen", "16.50", 22, &["matcha"], "A hundred tines, carved from one piece."),
    ("Linen Tea Towel", "Home", "12.00", 60, &["linen"], "Washed linen, 50 by 70 centimetres."),
    ("Beeswax Candle", "Home", "9.80", 48, &["candle"], "Burns for thirty hours."),
    ("Wool Throw", "Home", "79.00", 10, &["wool", "gift"], "Lambswool, 130 by 180 centimetres."),
    ("Oak Tray", "Home", "34.00", 16, &["oak"], "Oiled, with a rim that keeps cups where they are."),
    ("Terracotta Pot", "Home", "14.00", 4, &["garden"], "For herbs on the window sill, with saucer."),
    ("The Book of Tea", "Books", "9.95", 35, &["paperback"], "Kakuzo Okakura's essay of 1906."),
    ("Coffee: A Field Guide", "Books", "18.00", 20, &["hardcover"], "From the cherry to the cup, with maps."),
    (
        "Preserving the Harvest",
        "Books",
        "22.50",
        14,
        &["hardcover"],
        "Jams, pickles and ferments through the year.",
    ),
    ("A Year of Soups", "Books", "19.90", 3, &["paperback"], "Fifty-two soups, one for each week."),
    ("Wildflower Honey 350 g", "Pantry", "8.50", 66, &["honey"], "From one valley, unheated."),
    ("Sea Salt Flakes 125 g", "Pantry", "5.20", 110, &["salt"], "Dried by sun and wind."),
    ("Dark Chocolate 75 %", "Pantry", "4.80", 140, &["chocolate"], "Three ingredients, 80 grams."),
    ("Orange Marmalade 340 g", "Pantry", "6.40", 52, &["jam"], "Thick cut, bitter, cooked in small pans."),
    ("Gift Box", "Pantry", "6.00", 0, &["gift"], "A sturdy box with wood wool; back soon."),
];

const OPTIONED: &[Optioned] = &[
    (
        "Cotton Apron",
        "32.00",
        "Colour",
        &[("Natural", 15), ("Navy", 12), ("Olive", 6)],
        &["cotton"],
        "Heavy twill with two pockets.",
    ),
    (
        "Crew Neck T-shirt",
        "24.00",
        "Size",
        &[("S", 20), ("M", 30), ("L", 24), ("XL", 8)],
        &["cotton", "organic"],
        "Organic cotton, 180 g/m².",
    ),
    (
        "Merino Socks",
        "14.00",
        "Size",
        &[("36-39", 25), ("40-43", 40), ("44-47", 18)],
        &["wool"],
        "Fine merino, reinforced at heel and toe.",
    ),
    ("Canvas Tote", "18.00", "Colour", &[("Ecru", 40), ("Black", 35)], &["cotton"], "Carries ten kilos."),
    (
        "Stoneware Mug",
        "15.00",
        "Glaze",
        &[("White", 30), ("Celadon", 22), ("Tenmoku", 2)],
        &["ceramic"],
        "Thrown by hand, 0.3 litres.",
    ),
    (
        "Wool Beanie",
        "28.00",
        "Colour",
        &[("Grey", 14), ("Rust", 9), ("Forest", 11)],
        &["wool"],
        "Ribbed, one size.",
    ),
];

fn products(app: &App) -> Vec<Draft> {
    // Prices are whole numbers of the currency where it has no decimals.
    let currency = app.currency();
    let price = |text: &str| {
        let whole = text.split('.').next().unwrap_or(text);
        currency.parse(text).or_else(|_| currency.parse(whole)).expect("the demo's prices are plain")
    };
    let sku = |prefix: &str, n: usize, tail: &str| {
        let code: String =
            prefix.chars().filter(char::is_ascii_alphabetic).take(3).collect::<String>().to_uppercase();
        format!("{code}-{:03}{tail}", n + 1)
    };
    let words = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
    let plain = PLAIN.iter().enumerate().map(|(n, (name, category, cost, stock, tags, description))| Draft {
        name: (*name).into(),
        description: (*description).into(),
        category: Some((*category).into()),
        tags: words(tags),
        variants: vec![VariantDraft {
            sku: Some(sku(category, n, "")),
            price: price(cost),
            stock: Some(*stock),
            ..VariantDraft::default()
        }],
        ..Draft::default()
    });
    let optioned =
        OPTIONED.iter().enumerate().map(|(n, (name, cost, option, values, tags, description))| Draft {
            name: (*name).into(),
            description: (*description).into(),
            category: Some("Apparel & Cloth".into()),
            tags: words(tags),
            options: vec![ProductOption {
                name: (*option).into(),
                values: values.iter().map(|(value, _)| (*value).to_owned()).collect(),
            }],
            variants: values
                .iter()
                .map(|(value, stock)| VariantDraft {
                    sku: Some(sku(name, n, &format!("-{}", value.to_uppercase()))),
                    choices: vec![(*value).into()],
                    price: price(cost),
                    stock: Some(*stock),
                    ..VariantDraft::default()
                })
                .collect(),
            ..Draft::default()
        });
    plain.chain(optioned).collect()
}

/// What to paste, to walk from login to a paid order.
pub fn guide(login: &Login, url: &str) -> String {
    let password = &login.password;
    format!(
        r#"
This is a demo shop. Nothing here costs money: the built-in test gateway is on.

  administrator  {ADMIN}   password  {password}
  customer       {CUSTOMER}     the same password
  coupon         {COUPON}           10 % off, once for each customer

From login to a paid order; paste into a shell:

SHOP={url}
JSON='Content-Type: application/json'
TOKEN=$(curl -s $SHOP/api/auth/login/ -H "$JSON" -d '{{"email": "{CUSTOMER}", "password": "{password}"}}' | sed 's/.*"access":"\([^"]*\)".*/\1/')
curl -s "$SHOP/api/products/?category=tea&in_stock=true&ordering=price&page_size=3"; echo
curl -s $SHOP/api/cart/ -H "Authorization: Bearer $TOKEN" -H "$JSON" -d '{{"product_id": 1, "quantity": 2}}'; echo
PAYMENT=$(curl -s $SHOP/api/payment/ -H "Authorization: Bearer $TOKEN" -H "$JSON" -d '{{"shipping_address": {{"name": "Ada Lovelace", "line1": "12 Analytical Row", "city": "London", "postal_code": "N1 9GU", "country": "GB"}}}}' | sed 's/^{{"id":\([0-9]*\).*/\1/')
curl -s $SHOP/api/payment/test/$PAYMENT/ -H "Authorization: Bearer $TOKEN" -H "$JSON" -d '{{"outcome": "succeed"}}'; echo
curl -s "$SHOP/api/orders/?page_size=1" -H "Authorization: Bearer $TOKEN"; echo

The last answer is the paid order; its invoice_url opens in a browser. Ctrl-C ends the demo.
"#
    )
}
