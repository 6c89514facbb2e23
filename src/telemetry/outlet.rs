//! Where the log's lines go out. Those of requests are gathered for a moment, so that a busy shop writes many at a time;
//! any other line goes out at once, and after all that were before it. Whoever has one of those waits for it.

use std::io::{self, Write};
use std::mem::take;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::asked;

/// How long lines are gathered at the most.
const MOMENT: Duration = Duration::from_millis(10);
/// How many bytes of them at the most. What is over that is dropped and counted: whoever does not read the log must not
/// stop the shop.
const MOST: usize = 1 << 20;

/// Writes lines to a stream.
pub struct Outlet<W>(Arc<Lines<W>>);

struct Lines<W> {
    gathered: Mutex<Vec<u8>>,
    came: Condvar,
    /// Locked before `gathered` is, so that lines keep their order.
    out: Mutex<W>,
    /// Lines of requests that there was no room for, and that nobody was told of yet.
    dropped: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W: Write + Send + 'static> Outlet<W> {
    /// Starts the thread that writes what was gathered.
    pub fn new(out: W) -> io::Result<Outlet<W>> {
        let (gathered, came, dropped) = (Mutex::default(), Condvar::new(), AtomicU64::new(0));
        let lines = Arc::new(Lines { gathered, came, out: Mutex::new(out), dropped });
        let own = Arc::clone(&lines);
        std::thread::Builder::new().name("log".into()).spawn(move || {
            loop {
                let is_none = |gathered: &mut Vec<u8>| gathered.is_empty();
                drop(own.came.wait_while(lock(&own.gathered), is_none));
                std::thread::sleep(MOMENT);
                // A log that can't be written must not stop the shop.
                let _ = own.write();
                let dropped = own.dropped.swap(0, Ordering::Relaxed);
                if dropped > 0 {
                    tracing::warn!(
                        dropped,
                        "lines of requests were dropped: the log was not taken for a while"
                    );
                }
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
        let was_none = {
            let mut gathered = lock(&self.lines.gathered);
            if self.waits && gathered.len() + line.len() > MOST {
                self.lines.dropped.fetch_add(1, Ordering::Relaxed);
                return Ok(line.len());
            }
            let was_none = gathered.is_empty();
            gathered.extend_from_slice(line);
            was_none
        };
        if !self.waits {
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
        assert!(Line { lines: &outlet.0, waits: false }.write_all(b"an error\n").is_err());
        assert!(lock(&outlet.0.gathered).is_empty());
    }

    #[test]
    fn who_does_not_read_the_log_holds_up_no_request() {
        /// Says that it is written to, and takes nothing until it is let go.
        struct Stuck(mpsc::Sender<()>, mpsc::Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.send(());
                let _ = self.1.recv();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let ((says, said), (lets_go, is_let_go)) = (mpsc::channel(), mpsc::channel());
        let outlet = Outlet::new(Stuck(says, is_let_go)).expect("a thread");
        let line =
            |bytes: &[u8]| Line { lines: &outlet.0, waits: true }.write_all(bytes).expect("it is taken");
        line(b"one\n");
        said.recv_timeout(Duration::from_secs(10)).expect("it goes out");
        line(&vec![b'x'; MOST]);
        line(b"too much\n");
        line(b"too much\n");
        assert_eq!(outlet.0.dropped.load(Ordering::Relaxed), 2);
        assert_eq!(lock(&outlet.0.gathered).len(), MOST);
        drop(lets_go);
    }
}
