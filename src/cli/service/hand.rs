//! The hand that changes a server, or only says what it would change: either way line by line.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::super::CliError;
use super::super::output::{Output, print};

/// Whose a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Root,
    /// Root's, and the shop's user may read it.
    RootForShop,
    Shop,
}

/// What can be done, and how it is told when it is.
const DONE: [(&str, &str); 5] =
    [("write", "wrote"), ("make", "made"), ("keep", "kept"), ("remove", "removed"), ("run", "ran")];

pub struct Hand<'a> {
    is_dry: bool,
    out: &'a Output,
    steps: Vec<Value>,
    /// The shop's user and group, once they are there.
    shop: Option<(u32, u32)>,
}

impl<'a> Hand<'a> {
    /// `is_dry`: nothing is changed.
    pub fn new(is_dry: bool, out: &'a Output) -> Hand<'a> {
        Hand { is_dry, out, steps: Vec::new(), shop: None }
    }

    /// Writes a file, whole or not at all; whether that changed it.
    pub fn write(&mut self, path: &str, mode: u32, owner: Owner, text: &str) -> Result<bool, CliError> {
        let is_same = fs::read_to_string(path).is_ok_and(|there| there == text);
        if !self.is_dry {
            let placed = if is_same {
                self.hand_over(Path::new(path), mode, owner)
            } else {
                self.place(Path::new(path), mode, owner, &mut text.as_bytes())
            };
            placed.map_err(|error| said(path, &error))?;
        }
        let did = if is_same { "keep" } else { "write" };
        // Settings hold secrets.
        let is_shown = !is_same && !matches!(owner, Owner::RootForShop);
        self.tell(did, path, is_shown.then_some(text));
        Ok(!is_same)
    }

    /// Makes a directory, or makes one that is there what it is to be.
    pub fn dir(&mut self, path: &Path, mode: u32, owner: Owner) -> Result<(), CliError> {
        let (is_there, name) = (path.is_dir(), path.display().to_string());
        if !self.is_dry {
            let made = if is_there { Ok(()) } else { fs::create_dir_all(path) };
            made.and_then(|()| self.hand_over(path, mode, owner)).map_err(|error| said(&name, &error))?;
        }
        self.tell(if is_there { "keep" } else { "make" }, &name, None);
        Ok(())
    }

    /// Copies a program; whether that changed it.
    pub fn copy(&mut self, from: &Path, to: &str) -> Result<bool, CliError> {
        let is_same =
            is_same(from, Path::new(to)).map_err(|error| said(&from.display().to_string(), &error))?;
        if !is_same && !self.is_dry {
            let copied = fs::File::open(from)
                .and_then(|mut program| self.place(Path::new(to), 0o755, Owner::Root, &mut program));
            copied.map_err(|error| said(to, &error))?;
        }
        self.tell(if is_same { "keep" } else { "write" }, to, None);
        Ok(!is_same)
    }

    /// Removes a file, if it is there; whether it was.
    pub fn remove(&mut self, path: &str) -> Result<bool, CliError> {
        let is_there = Path::new(path).exists();
        if is_there {
            if !self.is_dry {
                fs::remove_file(path).map_err(|error| said(path, &error))?;
            }
            self.tell("remove", path, None);
        }
        Ok(is_there)
    }

    /// Runs a command that must succeed.
    pub fn run(&mut self, words: &[&str]) -> Result<(), CliError> {
        if !self.is_dry {
            run(words)?;
        }
        self.tell("run", &words.join(" "), None);
        Ok(())
    }

    /// All steps, for scripts.
    pub fn into_steps(self) -> Vec<Value> {
        self.steps
    }

    fn tell(&mut self, did: &str, what: &str, text: Option<&str>) {
        if !self.out.json {
            let is_plan = self.is_dry && did != "keep";
            let shown = DONE.iter().find(|(verb, _)| *verb == did).map_or(did, |(_, done)| done);
            print(&if is_plan { format!("would {did} {what}\n") } else { format!("{shown} {what}\n") });
            for line in text.filter(|_| is_plan).iter().flat_map(|text| text.lines()) {
                print(&format!("{}\n", format!("    {line}").trim_end()));
            }
        }
        self.steps.push(json!({"did": did, "what": what, "text": text.filter(|_| self.is_dry)}));
    }

    /// Makes a file beside its place, and then takes that.
    fn place(&mut self, path: &Path, mode: u32, owner: Owner, from: &mut dyn io::Read) -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir)?;
        let mut file = tempfile::Builder::new().prefix(".till-").tempfile_in(dir)?;
        io::copy(from, &mut file)?;
        file.flush()?;
        self.hand_over(file.path(), mode, owner)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        fs::File::open(dir)?.sync_all()
    }

    fn hand_over(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        let (uid, gid) = match owner {
            Owner::Root => (0, 0),
            Owner::RootForShop => (0, self.shop()?.1),
            Owner::Shop => self.shop()?,
        };
        let there = path.metadata()?;
        if (there.uid(), there.gid()) != (uid, gid) {
            chown(path, Some(uid), Some(gid))?;
        }
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    fn shop(&mut self) -> io::Result<(u32, u32)> {
        if let Some(ids) = self.shop {
            return Ok(ids);
        }
        let id = |flag| {
            let asked = Command::new("id").args([flag, super::unit::USER]).stderr(Stdio::null()).output()?;
            let number = String::from_utf8_lossy(&asked.stdout).trim().parse();
            number.map_err(|_| io::Error::other("the user till is not there"))
        };
        Ok(*self.shop.insert((id("-u")?, id("-g")?)))
    }
}

/// Runs a command that must succeed; what it says on stdout.
pub fn run(words: &[&str]) -> Result<String, CliError> {
    let failed = |said: &str| CliError::failed(format!("`{}` failed: {}", words.join(" "), said.trim()));
    let ran = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| failed(&error.to_string()))?;
    if !ran.status.success() {
        return Err(failed(&String::from_utf8_lossy(&ran.stderr)));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}

/// Whether two files hold the same.
pub fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, Ok(other)) = (fs::File::open(one)?, fs::File::open(other)) else { return Ok(false) };
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (io::BufReader::new(one), io::BufReader::new(other));
    loop {
        let (left, right) = (io::BufRead::fill_buf(&mut one)?, io::BufRead::fill_buf(&mut other)?);
        let len = left.len().min(right.len());
        if left[..len] != right[..len] {
            return Ok(false);
        }
        if len == 0 {
            return Ok(true);
        }
        io::BufRead::consume(&mut one, len);
        io::BufRead::consume(&mut other, len);
    }
}

fn said(path: &str, error: &io::Error) -> CliError {
    CliError::failed(format!("{path}: {error}"))
}
