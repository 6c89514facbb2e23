//! What till seals is opened by another program for the `age` format, and the other way round: `pyrage`, from PyPI.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use till::backup::crypt::{Keys, Lock, open, seal};
use till::config::{Secret, Setting};

use crate::support::python;

const LIBRARY: &str = "pyrage==1.4.0";

/// What a script of Python's makes of `input`.
fn run(script: &str, words: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(python("age-library", "pyrage", &[LIBRARY]));
    let script = format!(
        "import sys, pyrage\nfrom pyrage import passphrase, x25519\nfile = sys.stdin.buffer.read()\n\
         word = sys.argv[1] if len(sys.argv) > 1 else ''\nsys.stdout.buffer.write({script})"
    );
    command.args(["-c", &script]).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    child.stdin.take().expect("piped").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{script}");
    output.stdout
}

fn sealed(lock: &Lock, content: &[u8]) -> Vec<u8> {
    let mut sealing = seal(lock, Vec::new()).expect("a Vec takes all");
    sealing.write_all(content).expect("a Vec takes all");
    sealing.finish().expect("a Vec takes all")
}

fn opened(keys: &Keys, file: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    open(keys, file).expect("it fits").read_to_end(&mut content).expect("it is whole");
    content
}

#[test]
fn another_program_opens_what_till_sealed_and_till_what_the_other_did() {
    let content: Vec<u8> = (0..150_000_u32).map(|at| (at % 251) as u8).collect();
    let words = "vier Wörter für Tee";
    let secret = Secret::read(words).expect("any text is one");
    let file = sealed(&Lock::Passphrase(secret.clone()), &content);
    assert_eq!(run("passphrase.decrypt(file, word)", &[words], &file), content);
    let file = run("passphrase.encrypt(file, word)", &[words], &content);
    assert_eq!(opened(&Keys::Passphrase(secret), &file), content);

    let pair = run(
        "(lambda i: f'# public key: {i.to_public()}\\n{i}\\n')(x25519.Identity.generate()).encode()",
        &[],
        b"",
    );
    let pair = String::from_utf8(pair).expect("ASCII");
    let (recipient, identity) = pair.trim().split_once('\n').expect("two lines");
    let recipient = recipient.trim_start_matches("# public key: ");
    let file = sealed(&Lock::Recipients(vec![recipient.parse().expect("good")]), &content);
    let decrypted = run("pyrage.decrypt(file, [x25519.Identity.from_str(word)])", &[identity], &file);
    assert_eq!(decrypted, content);
    let file = run("pyrage.encrypt(file, [x25519.Recipient.from_str(word)])", &[recipient], &content);
    assert_eq!(opened(&Keys::identities(&pair).expect("good"), &file), content);
}
