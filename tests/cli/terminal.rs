//! What a person at a terminal sees: questions, bars, Ctrl-C, completions. On a pseudo-terminal.

use std::fmt::Write;
use std::process::Stdio;

use rexpect::session::{PtySession, spawn_command};

use crate::support::{Home, till};

/// How long anything may take (milliseconds).
const PATIENCE: u64 = 30_000;

pub fn on_terminal(home: &Home, words: &[&str]) -> PtySession {
    let mut command = home.command(words);
    command.env("TERM", "xterm").env("COLUMNS", "120").stdin(Stdio::inherit());
    spawn_command(command, Some(PATIENCE)).expect("a pseudo-terminal")
}

/// The rest of what a session says, and the exit code.
pub fn rest(mut session: PtySession) -> (String, i32) {
    let text = session.exp_eof().expect("it ends");
    // `Exited(Pid(7), 0)`: its type is not the library's own.
    let ended = format!("{:?}", session.process().wait().expect("it ends"));
    let code = ended
        .strip_prefix("Exited(")
        .and_then(|rest| rest.strip_suffix(')')?.rsplit(' ').next()?.parse().ok());
    (text, code.unwrap_or_else(|| panic!("{ended}")))
}

fn many(home: &Home, rows: usize) -> String {
    let mut file = String::from("handle,name,price,sku,stock_quantity\n");
    for n in 0..rows {
        writeln!(file, "item-{n},Item {n},{}.50,SKU-{n},{}", n % 90, n % 7).expect("written");
    }
    let path = home.dir.path().join("many.csv");
    std::fs::write(&path, file).expect("written");
    path.display().to_string()
}

#[test]
fn long_work_shows_a_bar_with_rate_and_remaining_time() {
    let home = Home::new();
    let file = many(&home, 3000);
    let mut session = on_terminal(&home, &["product", "import", &file]);
    session.exp_regex(r"importing +\[[= ]+> *\] [0-9,]+/3,000 [0-9.,]+/s .*left").expect("a bar");
    let (text, code) = rest(session);
    assert!(code == 0 && text.contains("3000 rows: 3000 created"), "{text}");
    let mut session = on_terminal(&home, &["product", "export", "--out", "all.csv"]);
    session.exp_string("3000 records written to all.csv").expect("a note");
    assert_eq!(rest(session).1, 0);
}

#[test]
fn ctrl_c_says_how_far_an_import_got_and_how_to_go_on() {
    for is_running in [false, true] {
        let home = Home::new();
        let file = many(&home, 3000);
        let server = is_running.then(|| home.serve());
        let mut session = on_terminal(&home, &["product", "import", &file]);
        session.exp_string("importing").expect("a bar");
        session.send_control('c').expect("it reads");
        let (text, code) = rest(session);
        assert!(
            code == 1 && text.contains("of 3000 entries are dealt with") && text.contains("--resume"),
            "{text}"
        );
        let listed = home.run(&["product", "imports", "--json"]).json();
        assert_eq!(listed["state"], "unfinished", "{listed}");
        assert!(listed["done"].as_u64().expect("a figure") < 3000);
        home.run(&["check"]).ok();
        let resumed = home.run(&["product", "import", &file, "--resume"]).ok();
        assert!(resumed.out.contains("3000 rows: 3000 created"), "{resumed:?}");
        let mut session = on_terminal(&home, &["product", "import", "--undo", "1"]);
        session.exp_string("undoing").expect("it says what it does");
        session.send_control('c').expect("it reads");
        let (text, code) = rest(session);
        assert!(code == 0 || text.contains("so far 0 products restored"), "{text}");
        if code == 0 {
            // It was faster.
            continue;
        }
        let undone = home.run(&["product", "import", "--undo", "1"]).ok();
        assert!(undone.out.contains("0 products restored, 3000 archived"), "{undone:?}");
        drop(server);
    }
}

#[test]
fn bash_completes_commands_and_flags() {
    let home = Home::new();
    let script = home.dir.path().join("till.bash");
    std::fs::write(&script, home.run(&["completions", "bash"]).ok().out).expect("written");
    let mut bash = std::process::Command::new("bash");
    bash.args(["--norc", "--noprofile", "-i"]).env("PS1", "> ").env("TERM", "xterm");
    let bin = std::path::Path::new(till().get_program()).parent().expect("a directory").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    bash.env("PATH", format!("{}:{path}", bin.display()));
    let mut session = spawn_command(bash, Some(PATIENCE)).expect("bash is there");
    // readline shows what is typed only where the terminal does.
    session.send_line("stty echo").expect("it reads");
    session.send_line(&format!("source {}; echo loa''ded", script.display())).expect("it reads");
    session.exp_string("loaded").expect("the script is good");
    for (typed, completed) in [
        ("till prod", "till product "),
        ("till product exp", "till product export "),
        ("till product import --skip", "till product import --skip-bad "),
        ("till order set-status 1 ship", "till order set-status 1 shipped "),
    ] {
        session.send(&format!("{typed}\t")).expect("it reads");
        session.flush().expect("it reads");
        session.exp_string(completed).unwrap_or_else(|error| panic!("{typed}: {error}"));
        session.send_control('u').expect("it reads");
    }
    session.send_line("exit").expect("it reads");
    session.exp_eof().expect("it ends");
}
