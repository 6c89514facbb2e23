//! Mail, to a mail server that is not ours: `aiosmtpd` from PyPI, with TLS and passwords, refusals and silences.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Home, Server, python, repository, run};

const PACKAGES: [&str; 2] = ["aiosmtpd==1.4.6", "trustme==1.2.1"];
/// Long enough for a mail to come, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// The mail server: what it took, and how it is reached.
pub struct Postbox {
    child: Child,
    lines: Receiver<Value>,
    port: u64,
    dir: TempDir,
}

impl Postbox {
    pub fn start(mode: &str) -> Postbox {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(python("aiosmtpd", "aiosmtpd, trustme", &PACKAGES));
        command.arg(repository().join("tests/cli/postbox.py")).arg(mode).arg(dir.path());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        let first: Value = lines.recv_timeout(SOON).expect("it says where it listens");
        let port = first["port"].as_u64().expect("a port");
        Postbox { child, lines, port, dir }
    }

    /// The next mail that it took.
    #[track_caller]
    fn next(&self) -> Value {
        self.lines.recv_timeout(SOON).expect("a mail comes")
    }

    /// Has a command send to it.
    pub fn reached_by(&self, command: &mut Command, url: &str) {
        command.env("TILL_MAIL__SMTP_URL", url.replace("PORT", &self.port.to_string()));
        command.env("TILL_MAIL__FROM", "Änne's Teas <shop@example.com>");
        command.env("TILL_SERVER__PUBLIC_URL", "https://shop.example.com");
        command.env("SSL_CERT_FILE", self.dir.path().join("authority.pem"));
    }
}

impl Drop for Postbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn header<'a>(mail: &'a Value, name: &str) -> &'a str {
    let headers = mail["headers"].as_array().expect("headers");
    let found = headers.iter().find(|header| header[0] == name);
    found.and_then(|header| header[1].as_str()).unwrap_or_else(|| panic!("no {name} in {mail}"))
}

fn part<'a>(mail: &'a Value, of: &str) -> &'a str {
    let found = mail["parts"].as_array().expect("parts").iter().find(|part| part["type"] == of);
    found.and_then(|part| part["content"].as_str()).unwrap_or_else(|| panic!("no {of} in {mail}"))
}

/// A shop that runs and sends to the postbox.
fn serve(home: &Home, postbox: &Postbox, url: &str) -> Server {
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("TILL_MAIL__TIMEOUT_SECONDS", "2");
    postbox.reached_by(&mut command, url);
    Server::start(command)
}

async fn register(server: &Server, email: &str, name: &str) -> String {
    let client = till::http::outgoing().build().expect("a client");
    let body = json!({"email": email, "name": name, "password": "correct horse battery"}).to_string();
    let request = client.post(format!("{}/api/auth/register/", server.base));
    let answer =
        request.header("Content-Type", "application/json").body(body).send().await.expect("it answers");
    let text = answer.text().await.expect("whole");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    json["access"].as_str().unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// Waits until the newest mail is as wanted.
#[track_caller]
fn newest(home: &Home, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let listed = home.run(&["mail", "list", "--limit", "1", "--json"]).ok().out;
        let mail: Value = serde_json::from_str(listed.lines().next().expect("a mail")).expect("JSON");
        if wanted(&mail) {
            return mail;
        }
        assert!(begun.elapsed() < SOON, "{mail}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub const STARTTLS: &str = "smtp://shop%40example.com:p%40ss%2Fword@127.0.0.1:PORT";
const IMPLICIT: &str = "smtps://shop%40example.com:p%40ss%2Fword@127.0.0.1:PORT";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_go_out_over_starttls_with_a_password() {
    let postbox = Postbox::start("starttls");
    let home = Home::new();
    let server = serve(&home, &postbox, STARTTLS);
    register(&server, "ann@example.com", "Änne 茶 <b>").await;
    let mail = postbox.next();
    assert_eq!((&mail["tls"], &mail["user"]), (&json!(true), &json!("shop@example.com")));
    assert_eq!((&mail["sender"], &mail["to"]), (&json!("shop@example.com"), &json!(["ann@example.com"])));
    assert_eq!(header(&mail, "From"), "Änne's Teas <shop@example.com>");
    assert_eq!(
        (header(&mail, "Subject"), header(&mail, "Auto-Submitted")),
        ("Is this your address?", "auto-generated")
    );
    assert!(header(&mail, "Message-ID").ends_with("@example.com>"), "{mail}");
    assert!(mail["headers"].as_array().expect("headers").iter().all(|header| header[0] != "Bcc"), "{mail}");
    assert!(part(&mail, "text/plain").contains("https://shop.example.com/verify?token="), "{mail}");
    assert!(!part(&mail, "text/html").contains("茶"), "nobody has proven that the name is theirs: {mail}");
    let sent = newest(&home, |mail| mail["state"] == "sent");
    assert_eq!(sent["last_said"], "2.0.0 taken");
    let shown = home.run(&["mail", "show", "1"]).ok().out;
    assert!(shown.contains("/verify?token=") && !shown.contains("token=***"), "{shown}");
    // Letters to addresses with other letters than ASCII's.
    register(&server, "änne@bücher.example", "Änne").await;
    assert_eq!(postbox.next()["to"], json!(["änne@bücher.example"]));

    let said = home.run(&["mail", "test", "--to", "you@example.com"]).ok();
    assert!(said.out.contains("2.0.0 taken"), "{}", said.out);
    assert_eq!(header(&postbox.next(), "Subject"), "A trial mail from till");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_server_that_can_not_be_trusted_gets_neither_mail_nor_password() {
    let home = Home::new();
    let test = |postbox: &Postbox, url: &str, trusts: bool| {
        let mut command = home.command(&["mail", "test", "--to", "you@example.com"]);
        postbox.reached_by(&mut command, url);
        if !trusts {
            command.env("SSL_CERT_FILE", "/dev/null");
        }
        run(command)
    };
    home.run(&["user", "create", "--email", "a@example.com", "--role", "admin", "--generate"]).ok();
    let (starttls, implicit, plain) =
        (Postbox::start("starttls"), Postbox::start("implicit"), Postbox::start("plain"));
    for (postbox, url) in [(&starttls, STARTTLS), (&implicit, IMPLICIT)] {
        test(postbox, url, true).ok();
        assert_eq!(postbox.next()["tls"], true);
        let stranger = test(postbox, url, false);
        assert!(stranger.code == 1 && stranger.err.contains("certificate"), "{}", stranger.err);
        let misnamed = test(postbox, &url.replace("127.0.0.1", "localhost"), true);
        assert!(misnamed.code == 1 && misnamed.err.contains("not valid for name"), "{}", misnamed.err);
        let locked_out = test(postbox, &url.replace("word@", "wrong@"), true);
        assert!(locked_out.code == 1 && locked_out.err.contains("535"), "{}", locked_out.err);
        assert!(!locked_out.err.contains("wrong"), "{}", locked_out.err);
    }
    let downgraded = test(&plain, "smtp://127.0.0.1:PORT", true);
    assert!(downgraded.code == 1 && downgraded.err.contains("STARTTLS"), "{}", downgraded.err);
    for url in ["smtp://127.0.0.1:PORT?tls=opportunistic", "smtp://127.0.0.1:PORT?tls=off"] {
        test(&plain, url, true).ok();
        assert_eq!(plain.next()["tls"], false);
    }
    for postbox in [&starttls, &implicit, &plain] {
        assert!(postbox.lines.try_recv().is_err(), "nothing else came");
    }
    let nowhere = test(&plain, "smtp://127.0.0.1:1?tls=off", true);
    assert!(nowhere.code == 1 && nowhere.err.contains("refused"), "{}", nowhere.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_is_slow_or_dies_costs_its_own_mail_at_most_a_second_copy() {
    let postbox = Postbox::start("plain");
    let home = Home::new();
    let server = serve(&home, &postbox, "smtp://127.0.0.1:PORT?tls=off");
    register(&server, "refused@example.com", "").await;
    let refused = newest(&home, |mail| mail["state"] == "given_up");
    assert_eq!(refused["tries"], 1);
    let said = refused["last_said"].as_str().expect("text");
    assert!(said.contains("550") && said.contains("<the recipient>: no such mailbox"), "{said}");
    register(&server, "busy@example.com", "").await;
    newest(&home, |mail| mail["tries"] == 1 && mail["state"] == "waiting");
    register(&server, "dies@example.com", "").await;
    let first = postbox.next();
    let waiting = newest(&home, |mail| mail["tries"] == 1 && mail["state"] == "waiting");
    home.run(&["mail", "retry", &waiting["id"].to_string()]).ok();
    assert_eq!(header(&first, "Message-ID"), header(&postbox.next(), "Message-ID"));
    newest(&home, |mail| mail["state"] == "sent");
    register(&server, "slow@example.com", "").await;
    assert_eq!(postbox.next(), json!({"slow": true}));
    register(&server, "ann@example.com", "").await;
    assert_eq!(postbox.next()["to"], json!(["ann@example.com"]), "others do not wait");
    let slow = newest(&home, |mail| mail["state"] == "sent");
    assert_eq!(slow["about"], "user:5");
    assert_eq!(server.stop(), Some(0));
    home.run(&["check"]).ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_is_being_handed_over_when_the_shop_stops_goes_out_once() {
    let postbox = Postbox::start("plain");
    let home = Home::new();
    let server = serve(&home, &postbox, "smtp://127.0.0.1:PORT?tls=off");
    register(&server, "ponders@example.com", "").await;
    assert_eq!(postbox.next(), json!({"ponders": true}));
    assert_eq!(server.stop(), Some(0));
    assert_eq!(postbox.next()["to"], json!(["ponders@example.com"]));
    let sent = newest(&home, |mail| mail["state"] == "sent");
    assert_eq!(sent["tries"], 1);
    let server = serve(&home, &postbox, "smtp://127.0.0.1:PORT?tls=off");
    register(&server, "ann@example.com", "").await;
    assert_eq!(postbox.next()["to"], json!(["ann@example.com"]), "nothing goes out a second time");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn templates_are_written_changed_and_held_against_what_mails_are_made_of() {
    let home = Home::new();
    let dir = home.dir.path().join("mails");
    let dir = dir.to_str().expect("UTF-8");
    let write = ["mail", "templates", "--write", dir];
    let written = home.run(&write).ok();
    assert!(written.out.contains("templates are in"), "{}", written.out);
    let again = home.run(&write);
    assert!(again.code == 1 && again.err.contains("--force"), "{}", again.err);
    let file = |name: &str| std::path::Path::new(dir).join(name);
    let trial = std::fs::read_to_string(file("trial.txt")).expect("it is there");
    std::fs::write(file("trial.txt"), trial.replace("A trial mail", "Hello")).expect("written");
    let check = || {
        let mut command = home.command(&["config", "check"]);
        command.env("TILL_MAIL__TEMPLATES", dir);
        run(command)
    };
    check().ok();
    let postbox = Postbox::start("plain");
    let trial = || {
        let mut command = home.command(&["mail", "test", "--to", "you@example.com"]);
        postbox.reached_by(&mut command, "smtp://127.0.0.1:PORT?tls=off");
        command.env("TILL_MAIL__TEMPLATES", dir);
        run(command).ok();
        header(&postbox.next(), "Subject").to_owned()
    };
    home.run(&["user", "create", "--email", "a@example.com", "--role", "admin", "--generate"]).ok();
    assert_eq!(trial(), "Hello from till");
    std::fs::write(file("trial.txt"), "Subject: {{ nonsense.at.all }}\n").expect("written");
    let faults = check();
    assert!(faults.code == 2 && faults.err.contains("trial.txt:1"), "{}", faults.err);
    assert_eq!(trial(), "A trial mail from till");
    home.run(&["mail", "templates", "--write", dir, "--force"]).ok();
    check().ok();
}

#[test]
fn mail_settings_are_checked_without_showing_the_password() {
    let home = Home::new();
    let check = |settings: &[(&str, &str)]| {
        let mut command = home.command(&["config", "check"]);
        command.envs(settings.iter().copied());
        run(command)
    };
    let url = ("TILL_MAIL__SMTP_URL", "smtp://ann:secret@mail.example.com");
    let from = ("TILL_MAIL__FROM", "Ann <ann@example.com>");
    check(&[url, from]).ok();
    for (settings, said) in [
        (vec![url], "mail.from"),
        (vec![url, ("TILL_MAIL__FROM", "Ann")], "must be an address"),
        (vec![("TILL_MAIL__SMTP_URL", "ann:secret@mail.example.com"), from], "mail.smtp_url"),
        (
            vec![("TILL_MAIL__SMTP_URL", "smtps://ann:secret@mail.example.com?tls=off"), from],
            "leave ?tls= out",
        ),
        (vec![("TILL_MAIL__ADMIN_TO", "ann@example.com,bob")], "mail.admin_to"),
        (vec![("TILL_MAIL__RESET_URL", "shop.example.com")], "mail.reset_url"),
    ] {
        let refused = check(&settings);
        assert!(refused.code == 2 && refused.err.contains(said), "{settings:?}: {}", refused.err);
        assert!(!refused.err.contains("secret"), "{}", refused.err);
    }
}
