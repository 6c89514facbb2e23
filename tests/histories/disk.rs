//! A disk in memory, which a shop leaves behind when it is dropped.

use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{BackendError, Database, DatabaseError, StorageBackend};
use till::store::Disk;

#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Vec<u8>>>);

impl MemoryDisk {
    pub fn of(bytes: &[u8]) -> MemoryDisk {
        MemoryDisk(Arc::new(Mutex::new(bytes.to_vec())))
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("nobody panics with it")
    }

    pub fn image(&self) -> Vec<u8> {
        self.bytes().clone()
    }
}

impl Disk for MemoryDisk {
    fn open(&self) -> Result<Database, DatabaseError> {
        Database::builder().set_cache_size(4 << 20).create_with_backend(self.clone())
    }

    fn name(&self) -> String {
        "a disk in memory".into()
    }
}

impl StorageBackend for MemoryDisk {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let at = usize::try_from(offset).expect("it is in memory");
        out.copy_from_slice(&self.bytes()[at..at + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.bytes().resize(usize::try_from(len).expect("it is in memory"), 0);
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let at = usize::try_from(offset).expect("it is in memory");
        self.bytes()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}
