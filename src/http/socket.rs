//! The operator's Unix socket: whoever may open it is the operator.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::net::UnixListener;

use crate::hex::hex;

/// The longest path that a Unix socket's address holds on every system (bytes).
const SOCKET_PATH: usize = 100;
/// In the data directory: the socket, and, where its path would be too long, a file that says where it is.
const SOCKET: &str = "till.sock";
const SOCKET_ELSEWHERE: &str = "till.sock.path";

/// The socket in `data_dir`, for this user alone, and its path.
pub fn bind_socket(data_dir: &Path) -> io::Result<(UnixListener, PathBuf)> {
    let path = make_socket_path(data_dir)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok((listener, path))
}

/// Where the operator's socket of `data_dir` is to be: in it, or, where the system takes no path as long as
/// that, in a directory of this user's own, which a file in `data_dir` names.
fn make_socket_path(data_dir: &Path) -> io::Result<PathBuf> {
    let path = data_dir.join(SOCKET);
    let elsewhere = data_dir.join(SOCKET_ELSEWHERE);
    if path.as_os_str().len() <= SOCKET_PATH {
        match std::fs::remove_file(&elsewhere) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => return Ok(path),
        }
    }
    let whole = data_dir.canonicalize()?;
    let owner = whole.metadata()?.uid();
    let digest = Sha256::digest(whole.as_os_str().as_encoded_bytes());
    let dir = std::env::temp_dir().join(format!("till-{owner}-{}", hex(&digest[..4])));
    match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = dir.symlink_metadata()?;
    if !found.is_dir() || found.uid() != owner || found.mode() & 0o077 != 0 {
        let said = format!("{} is not a directory of this user's own", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, said));
    }
    let path = dir.join(SOCKET);
    std::fs::write(&elsewhere, path.as_os_str().as_encoded_bytes())?;
    Ok(path)
}

/// Where a running shop of `data_dir` has its operator's socket.
pub fn find_socket(data_dir: &Path) -> PathBuf {
    let elsewhere = std::fs::read_to_string(data_dir.join(SOCKET_ELSEWHERE));
    elsewhere.map_or_else(|_| data_dir.join(SOCKET), PathBuf::from)
}
