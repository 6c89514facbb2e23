//! Files that a command writes: whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::CliError;

/// A file in the making.
pub enum OutFile {
    Stdout(io::Stdout),
    /// What is no regular file (a device, a pipe) is written to as it is.
    Direct(File, PathBuf),
    /// It takes the place of the file, or of what a link leads to, when it is done.
    Temporary(BufWriter<NamedTempFile>, PathBuf),
}

impl OutFile {
    /// `-` is stdout. `is_secret`: for this user alone, where there is no file yet.
    pub fn create(path: &Path, is_secret: bool) -> Result<OutFile, CliError> {
        if path == Path::new("-") {
            return Ok(OutFile::Stdout(io::stdout()));
        }
        let failed = |error: io::Error| said(path, &error);
        let there = path.metadata().ok();
        if there.is_none() && path.is_symlink() {
            return Err(CliError::failed(format!("{} is a link that leads nowhere", path.display())));
        }
        if there.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            return Err(CliError::failed(format!("{} is a directory", path.display())));
        }
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            let file = File::options().write(true).open(path).map_err(failed)?;
            return Ok(OutFile::Direct(file, path.to_owned()));
        }
        let target = if there.is_some() { path.canonicalize().map_err(failed)? } else { path.to_owned() };
        let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mode = Permissions::from_mode(if is_secret { 0o600 } else { 0o666 });
        let file = tempfile::Builder::new().permissions(mode).tempfile_in(dir).map_err(failed)?;
        if let Some(there) = there {
            let mode = there.permissions().mode() & if is_secret { 0o660 } else { 0o777 };
            file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(OutFile::Temporary(BufWriter::new(file), target))
    }

    /// Makes it the file it is to be.
    pub fn finish(self) -> Result<(), CliError> {
        match self {
            OutFile::Stdout(mut out) => match out.flush() {
                // Whoever reads has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                done => done.map_err(|error| said(Path::new("stdout"), &error)),
            },
            OutFile::Direct(mut file, path) => file.flush().map_err(|error| said(&path, &error)),
            OutFile::Temporary(writer, path) => {
                let failed = |error: io::Error| said(&path, &error);
                let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
                file.as_file().sync_all().map_err(failed)?;
                file.persist(&path).map_err(|error| failed(error.error))?;
                Ok(())
            }
        }
    }
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            OutFile::Stdout(out) => out.write(bytes),
            OutFile::Direct(file, _) => file.write(bytes),
            OutFile::Temporary(writer, _) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            OutFile::Stdout(out) => out.flush(),
            OutFile::Direct(file, _) => file.flush(),
            OutFile::Temporary(writer, _) => writer.flush(),
        }
    }
}

/// Why a file can't be written. The name of the temporary one is nobody's business.
fn said(path: &Path, error: &io::Error) -> CliError {
    let error = error.to_string();
    CliError::failed(format!("{}: {}", path.display(), error.split(" at path ").next().unwrap_or_default()))
}
