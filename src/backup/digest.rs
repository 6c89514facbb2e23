//! What bytes come to while they pass.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

/// Bytes on their way out, and their SHA-256.
pub struct Digesting<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> Digesting<W> {
    pub fn new(out: W) -> Digesting<W> {
        Digesting { out, digest: Sha256::new() }
    }

    /// Where they went, and their digest.
    pub fn finish(self) -> (W, [u8; 32]) {
        (self.out, self.digest.finalize().into())
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
