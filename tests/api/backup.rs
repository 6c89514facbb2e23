//! Backups while the shop sells, the schedule that makes them, and what is made anew of the data file.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use till::app::App;
use till::backup::format::{Header, write};
use till::backup::{Backup, BackupError, Trial};

use crate::support::{Shop, number};

const DAY: Duration = Duration::from_hours(24);

pub fn backup_of(app: &App) -> Vec<u8> {
    let mut bytes = Vec::new();
    let made = app.store.read(|tx| {
        let header = Header::of(tx)?;
        write(tx, &header, &mut bytes, |_| ControlFlow::Continue(()))?;
        Ok::<_, BackupError>(())
    });
    made.expect("a Vec takes all");
    bytes
}

/// Makes a backup and proves it good; the commit that it shows.
fn tried(app: &App) -> u64 {
    let dir = tempfile::tempdir().expect("a directory");
    let mut tell = |_: &'static str, _, _| ControlFlow::Continue(());
    let trial = Trial::of_backup(Cursor::new(backup_of(app)), dir.path(), &mut tell).expect("whole");
    // Half an order would be a finding.
    assert_eq!(trial.check(&mut tell).expect("readable").findings, []);
    assert!(trial.is_sound().expect("readable"));
    trial.header.expect("it was read").commit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_one_moment_of_a_shop_that_sells() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 100_000).await;
    let buyers = [shop.buyer().await, shop.buyer().await, shop.buyer().await];
    let stop = AtomicBool::new(false);
    let buying = join_all(buyers.iter().map(|buyer| async {
        while !stop.load(Ordering::Relaxed) {
            buyer.bought(tea.id, 1).await;
        }
    }));
    let backing_up = async {
        let mut commits = Vec::new();
        for _ in 0..8 {
            let app = Arc::clone(&shop.app);
            commits.push(tokio::task::spawn_blocking(move || tried(&app)).await.expect("it is good"));
        }
        stop.store(true, Ordering::Relaxed);
        commits
    };
    let (_, commits) = tokio::join!(buying, backing_up);
    assert!(commits.windows(2).all(|pair| pair[0] < pair[1]), "it was bought meanwhile: {commits:?}");
}

#[tokio::test]
async fn no_flipped_bit_and_no_missing_end_of_a_backup_goes_unnoticed() {
    let shop = Shop::open().await;
    shop.product("Tea", "4", 5).await;
    let whole = backup_of(&shop.app);
    let read = |bytes: &[u8]| Backup::open(bytes).and_then(|backup| backup.each(|_, _, _| Ok(())));
    let header = read(&whole).expect("it is whole");
    assert_eq!((header.shop.as_str(), header.format), (shop.app.shop.as_str(), till::store::FORMAT));
    assert_eq!((header.tables["products"], header.tables["stock"]), (1, 1));
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        assert!(read(&flipped).is_err(), "byte {at} of {}", whole.len());
        assert!(read(&whole[..at]).is_err(), "cut off at {at}");
    }
    assert!(read(&[&whole[..], b"x"].concat()).is_err(), "something was added");
    assert!(matches!(read(b"PK\x03\x04"), Err(BackupError::NotOne)));
}

#[tokio::test]
async fn the_schedule_makes_backups_proves_them_and_keeps_as_many_as_it_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().display().to_string();
    let settings = [
        ("backup.daily_at", "03:30"),
        ("backup.to", to.as_str()),
        ("backup.keep_daily", "3"),
        ("backup.keep_weekly", "0"),
        ("backup.keep_monthly", "0"),
    ];
    let shop = Shop::with(&settings).await;
    let ready = async || shop.admin().await.get("/readyz").await.status(200).json["backup"].clone();
    assert!(ready().await["last_at"].is_null());
    // The first is due at once, and then there is none until it is time.
    for _ in 0..3 {
        till::jobs::back_up(&shop.app).await;
    }
    let names = || {
        let mut found: Vec<String> = std::fs::read_dir(dir.path())
            .expect("there")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
            .collect();
        found.sort();
        found
    };
    assert_eq!(names().len(), 1, "{:?}", names());
    // Another shop's on the same shelf is nobody's business.
    let stranger = dir.path().join("till-00000000000000ff-20200101T000000Z-1.backup");
    std::fs::write(&stranger, "somebody's").expect("written");
    for _ in 0..5 {
        shop.later(DAY);
        till::jobs::back_up(&shop.app).await;
    }
    let kept: Vec<_> = names().into_iter().filter(|name| name.contains(&shop.app.shop)).collect();
    assert_eq!((kept.len(), stranger.exists(), names().len()), (3, true, 4), "{:?}", names());
    let listed = shop.admin().await.get("/api/admin/backups/").await.status(200).json;
    let of = |list: &Value| -> Vec<String> {
        let all = list["results"].as_array().expect("a list");
        all.iter().map(|kept| kept["name"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(of(&listed), kept.iter().rev().cloned().collect::<Vec<_>>());
    shop.later(Duration::from_secs(90));
    assert_eq!((&ready().await["age_seconds"], &ready().await["failed"]), (&json!(90), &Value::Null));
}

#[tokio::test]
async fn a_backup_that_fails_is_told_and_tried_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().join("shelf");
    std::fs::write(&to, "no directory").expect("written");
    let text = to.display().to_string();
    let shop = Shop::with(&[("backup.daily_at", "00:00"), ("backup.to", text.as_str())]).await;
    till::jobs::back_up(&shop.app).await;
    let admin = shop.admin().await;
    let backup = admin.get("/readyz").await.status(200).json["backup"].clone();
    assert!(backup["failed"]["at"].is_string() && backup["failed"]["said"].is_string(), "{backup}");
    let everybody = shop.get("/readyz").await.status(200).json;
    assert!(everybody["backup"].is_null(), "{everybody}");
    let told = admin.mails_of("backup_failed").await;
    assert_eq!((told.len(), &told[0]["subject"]), (1, &json!("No backup could be made")));
    assert_eq!(told[0]["to"], json!([admin.email]));
    assert!(told[0]["text"].as_str().expect("text").contains("came to nothing: "), "{}", told[0]);
    std::fs::remove_file(&to).expect("removed");
    till::jobs::back_up(&shop.app).await;
    assert!(!to.exists(), "not before a quarter of an hour has gone by");
    shop.later(Duration::from_mins(16));
    till::jobs::back_up(&shop.app).await;
    let backup = admin.get("/readyz").await.status(200).json["backup"].clone();
    assert_eq!((&backup["failed"], std::fs::read_dir(&to).expect("made").count()), (&Value::Null, 1));
}

#[tokio::test]
async fn who_asks_for_a_check_hears_how_far_it_is() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    shop.product("Tea", "4", 5).await;
    let asking = admin.asks(reqwest::Method::POST, "/api/admin/check/").json(&json!({}));
    let told = asking.header("Accept", "application/x-ndjson").send().await.status(200);
    let last: Value = serde_json::from_str(told.text.lines().last().expect("lines")).expect("JSON");
    assert_eq!(
        (&last["stage"], &last["status"], &last["body"]["ok"]),
        (&json!("end"), &json!(200), &json!(true))
    );
    let repaired = admin.post("/api/admin/check/", json!({"repair": true})).await.status(200).json;
    assert_eq!((&repaired["repaired"], &repaired["ok"]), (&json!(0), &json!(true)));
    admin.post("/api/admin/check/", json!({"repair": "yes"})).await.faults(&["repair"]);
    // Who may look may not mend.
    let wanted = json!({"name": "looks", "scopes": ["shop:read"]});
    let token = admin.post("/api/admin/tokens/", wanted).await.status(201).json["secret"].clone();
    let looks = shop.request(reqwest::Method::POST, "/api/admin/check/");
    let looks = looks.json(&json!({"repair": true})).token(token.as_str().expect("a secret"));
    looks.send().await.refused(403, "permission_denied");
    // Figures are for the operator's socket alone.
    shop.get("/metrics").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_made_anew_while_it_is_bought_from() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 100_000).await;
    let staff = shop.staff().await;
    // Something to leave out.
    let rows: Vec<_> = (0..3000).map(|n| format!("item-{n},Item {n},1")).collect();
    let file = format!("handle,name,price\n{}\n", rows.join("\n"));
    let import = staff.asks(reqwest::Method::POST, "/api/admin/products/import/").body("text/csv", file);
    let import = number(&import.send().await.status(200).json["id"]);
    staff.post(&format!("/api/admin/products/imports/{import}/undo/"), json!({})).await.status(200);

    let buyers = [shop.buyer().await, shop.buyer().await, shop.buyer().await];
    let stop = AtomicBool::new(false);
    let buying = join_all(buyers.iter().map(|buyer| async {
        let mut orders = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            orders.push(buyer.bought(tea.id, 1).await);
        }
        orders
    }));
    let compacting = async {
        let admin = shop.admin().await;
        let mut sizes = Vec::new();
        for _ in 0..4 {
            let done = admin.post("/api/admin/compact/", json!({})).await.status(200).json;
            sizes.push((number(&done["bytes_before"]), number(&done["bytes_after"])));
        }
        stop.store(true, Ordering::Relaxed);
        sizes
    };
    let (orders, sizes) = tokio::join!(buying, compacting);
    assert!(sizes[0].1 < sizes[0].0, "{sizes:?}");
    let mut sold = 0;
    for (buyer, orders) in buyers.iter().zip(&orders) {
        for order in orders {
            assert_eq!(buyer.order(*order).await["payment_status"], "paid");
        }
        sold += orders.len() as i64;
    }
    assert!(sold > 0);
    assert_eq!(shop.stock_of(tea.id).await, 100_000 - sold);
    // What was written since is in the file that has the name.
    let copy = tempfile::tempdir().expect("a directory");
    let name = copy.path().join("till.redb");
    std::fs::copy(shop.app.config.data_dir.join("till.redb"), &name).expect("copied");
    let reopened = till::backup::open_alone(&name).expect("it opens");
    assert_eq!(reopened.seq().expect("readable"), shop.app.store.seq().expect("readable"));
}
