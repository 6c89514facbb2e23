//! Where the log's lines go out. Those of requests are gathered for a moment, so that a busy shop writes many at a time;
//! any other line goes out at once, and after all that were before it.

use std::io::{self, Write};
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::asked;

/// How long lines are gathered at the most.
const MOMENT: Duration = Duration::from_millis(10);
/// How many bytes of them at the most, before whoever has another waits until they are written.
const MOST: usize = 256 << 10;

/// Writes lines to a stream.
pub struct Outlet<W>(Arc<Lines<W>>);

struct Lines<W> {
    gathered: Mutex<Vec<u8>>,
    came: Condvar,
    /// Locked before `gathered` is, so that lines keep their order.
    out: Mutex<W>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W: Write + Send + 'static> Outlet<W> {
    /// Starts the thread that writes what was gathered.
    pub fn new(out: W) -> io::Result<Outlet<W>> {
        let lines =
            Arc::new(Lines { gathered: Mutex::default(), came: Condvar::new(), out: Mutex::new(out) });
        let own = Arc::clone(&lines);
        std::thread::Builder::new().name("log".into()).spawn(move || {
            loop {
                let is_none = |gathered: &mut Vec<u8>| gathered.is_empty();
                drop(own.came.wait_while(lock(&own.gathered), is_none));
                std::thread::sleep(MOMENT);
                // A log that can't be written must not stop the shop.
                let _ = own.write();
            }
        })?;
        Ok(Outlet(lines))
    }
}

impl<W: Write> Lines<W> {
    fn write(&self) -> io::Result<()> {
        let mut out = lock(&self.out);
        let gathered = take(&mut *lock(&self.gathered));
        out.write_all(&gathered)?;
        out.flush()
    }
}

/// One line, on its way out.
pub struct Line<'a, W> {
    lines: &'a Lines<W>,
    waits: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (was_none, is_full) = {
            let mut gathered = lock(&self.lines.gathered);
            let was_none = gathered.is_empty();
            gathered.extend_from_slice(line);
            (was_none, gathered.len() > MOST)
        };
        if !self.waits || is_full {
            self.lines.write()?;
        } else if was_none {
            self.lines.came.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, W: Write + 'static> MakeWriter<'a> for Outlet<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Line<'a, W> {
        Line { lines: &self.0, waits: false }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line<'a, W> {
        Line { lines: &self.0, waits: of.target() == asked::TARGET && *of.level() == Level::INFO }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Tells of each write.
    struct Told(mpsc::Sender<String>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_requests_are_written_together_and_all_in_order() {
        let (send, told) = mpsc::channel();
        let outlet = Outlet::new(Told(send)).expect("a thread");
        let line = |text: &str, waits| {
            Line { lines: &outlet.0, waits }.write_all(text.as_bytes()).expect("it is taken");
        };
        line("one\n", true);
        line("two\n", true);
        line("an error\n", false);
        let mut all = String::new();
        while !all.ends_with("an error\n") {
            all += &told.recv_timeout(Duration::from_secs(10)).expect("it goes out");
        }
        assert_eq!(all, "one\ntwo\nan error\n");
        // Nothing comes after it: what waits goes out by itself.
        line("three\n", true);
        assert_eq!(told.recv_timeout(Duration::from_secs(10)).expect("it goes out"), "three\n");
    }

    #[test]
    fn what_can_not_be_written_is_not_kept() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let outlet = Outlet::new(Full).expect("a thread");
        let line = vec![b'x'; MOST + 1];
        assert!(Line { lines: &outlet.0, waits: true }.write_all(&line).is_err());
        assert!(lock(&outlet.0.gathered).is_empty());
    }
}
