//! The job: looks whether another certificate is due, and has it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use instant_acme::Error;
use rand::RngExt;

use super::acme::{Authority, Failure, Issued, Kind};
use super::plan::{Held, Why, Window, again, due, is_urgent};
use super::shelf::{Shelf, Tries};
use super::{Certificate, Failed, Https, Source};
use crate::app::App;
use crate::clock::Time;

/// How often the operator's files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often an authority is asked when it wants a certificate renewed: what it says itself is kept within these.
const ASK_SOONEST: Duration = Duration::from_hours(1);
const ASK_LATEST: Duration = Duration::from_hours(24);
/// How often is tried to write what the disk does not take.
const WRITE_EVERY: Duration = Duration::from_mins(1);

/// How far the job is. But for the tries, it begins anew at each start.
pub struct Progress {
    /// The files that the certificate was read from.
    pub seen: Option<Seen>,
    look_at: Time,
    /// The certificate is from another authority.
    pub is_of_other: bool,
    pub tries: Tries,
    /// The certificate that is served, while the disk does not take it, and when that is tried again.
    unkept: Option<Issued>,
    write_at: Time,
    window: Option<Window>,
    ask_at: Time,
    /// From 0 to 1, drawn for each certificate.
    luck: f64,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress {
            seen: None,
            look_at: Time::default(),
            is_of_other: false,
            tries: Tries::default(),
            unkept: None,
            write_at: Time::default(),
            window: None,
            ask_at: Time::default(),
            luck: rand::rng().random(),
        }
    }
}

/// What tells a file from the one that was there before: of each, inode, length, and when it was changed.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen([(u64, u64, i64, i64); 2]);

impl Seen {
    pub fn of(certificate: &Path, key: &Path) -> Option<Seen> {
        let one = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        };
        Some(Seen([one(certificate)?, one(key)?]))
    }
}

/// Does what is due for the shop's certificate: reads files that changed, or has an authority renew it. One at a time.
pub async fn look_after(app: &App) {
    let Some(https) = app.https() else { return };
    let Ok(mut progress) = https.progress.try_lock() else { return };
    let now = app.clock.now();
    match &https.source {
        Source::Files { certificate, key } if now >= progress.look_at => {
            progress.look_at = now.plus(LOOK_EVERY);
            https.read_again(&mut progress, certificate, key, now);
        }
        Source::Files { .. } => {}
        Source::Acme { authority, shelf } => https.renew(&mut progress, authority, shelf, app).await,
    }
}

impl Https {
    /// Takes files that changed. Two files can't be replaced at once, so a pair that does not fit is looked at again.
    fn read_again(&self, progress: &mut Progress, certificate: &Path, key: &Path, now: Time) {
        let seen = Seen::of(certificate, key);
        if seen == progress.seen && self.failed().is_none() {
            return;
        }
        let found = Certificate::of_files(certificate, key).and_then(|found| {
            if found.ends <= now {
                Err(format!("{}: it has expired", certificate.display()))
            } else {
                Ok(found)
            }
        });
        match found {
            Ok(found) => {
                tracing::info!(names = found.names.join(","), until = %found.ends, "the certificate was read again");
                self.served.put(found);
                self.note(None);
            }
            Err(said) => {
                if seen != progress.seen || self.is_news(&said) {
                    tracing::error!("{said}; the certificate that was there before is kept");
                }
                self.note(Some(Failed { at: now, said, next_at: progress.look_at }));
            }
        }
        progress.seen = seen;
    }

    async fn renew(&self, progress: &mut Progress, authority: &Authority, shelf: &Shelf, app: &App) {
        let now = app.clock.now();
        if now < progress.write_at {
            return;
        }
        if let Some(issued) = progress.unkept.take() {
            self.keep(progress, authority, shelf, issued, now);
        }
        if progress.tries.are_paused(now) {
            return;
        }
        let old = self.served.certificate();
        let held = old.as_ref().filter(|old| old.ends > now).map(|old| Held {
            begins: old.begins,
            ends: old.ends,
            is_for_all: self.domains.iter().all(|domain| old.covers(domain)),
            is_of_other: progress.is_of_other,
        });
        let (mut at, mut why) = due(held, progress.window, progress.luck);
        if at > now && now >= progress.ask_at {
            self.ask_when(progress, authority, shelf, now).await;
            (at, why) = due(held, progress.window, progress.luck);
        }
        if at > now {
            // What there is does after all: its file was put back, or the authority wants it renewed later than it did.
            if progress.unkept.is_none() && self.failed().is_some() {
                self.be_done(progress, shelf);
            }
            return;
        }
        // Written before anybody is asked: whatever ends this process, the next one knows of the try.
        let failures = progress.tries.failures + 1;
        let next_at = again(failures, now, Kind::CutOff, None, progress.luck);
        let said = "the last try was cut off".to_owned();
        let begun = Tries { failures, said, at: now, next_at, ..progress.tries.clone() };
        // What can't be kept is asked for only in need, and by an account that is there: not by another each time.
        let has_account = || matches!(shelf.account(&authority.directory), Ok(Some(_)));
        if let Err(said) = shelf.put_tries(&begun)
            && !(is_urgent(held, now) && has_account())
        {
            let said = format!("no certificate is asked for that could not be kept: {said}");
            return self.wait_for_disk(progress, said, now);
        }
        progress.tries = begun;
        let replaced = old.filter(|_| matches!(why, Why::Ends | Why::Wanted)).and_then(|old| old.id());
        let (domains, proof) = (self.domains.join(","), progress.tries.proof);
        tracing::info!(domains, ?why, %proof, directory = authority.directory, "asks for a certificate");
        match self.obtain(authority, shelf, progress, replaced, app).await {
            Ok(issued) => {
                *progress = Progress { tries: progress.tries.clone(), ..Progress::default() };
                self.keep(progress, authority, shelf, issued, app.clock.now());
            }
            Err(failure) => self.put_off(progress, authority, shelf, failure, app.clock.now()),
        }
    }

    /// Goes through one order, and serves what comes of it if it is any good.
    async fn obtain(
        &self,
        authority: &Authority,
        shelf: &Shelf,
        progress: &Progress,
        replaced: Option<instant_acme::CertificateIdentifier<'_>>,
        app: &App,
    ) -> Result<Issued, Failure> {
        let issued = authority.order(shelf, &self.served, progress.tries.proof, replaced).await?;
        let useless = |said: String| Failure { kind: Kind::Refused, said, retry_after: None };
        let found = Certificate::read(issued.chain.as_bytes(), issued.key.as_bytes()).map_err(useless)?;
        if let Some(missing) = self.domains.iter().find(|domain| !found.covers(domain)) {
            return Err(useless(format!("the authority's certificate is not for {missing}")));
        }
        if found.ends <= app.clock.now() {
            return Err(useless(format!("the authority's certificate ended {}", found.ends)));
        }
        tracing::info!(names = found.names.join(","), until = %found.ends, "has a new certificate");
        self.served.put(found);
        Ok(issued)
    }

    /// Writes down the certificate that is served. Until the disk takes it, whoever starts next has to ask for another,
    /// and authorities give few for the same names: so the tries are not over.
    fn keep(&self, progress: &mut Progress, authority: &Authority, shelf: &Shelf, issued: Issued, now: Time) {
        let kept = shelf.put_certificate(&issued.chain, &issued.key, &authority.directory);
        let Err(said) = kept else {
            tracing::info!("the certificate is kept");
            return self.be_done(progress, shelf);
        };
        let said = format!("the certificate is served, but it can't be kept: {said}");
        if progress.tries.said != said {
            // In case this process ends before the disk takes it.
            let next_at = again(progress.tries.failures, now, Kind::Refused, None, progress.luck);
            progress.tries = Tries { said: said.clone(), at: now, next_at, ..progress.tries.clone() };
            let _ = shelf.put_tries(&progress.tries);
        }
        progress.unkept = Some(issued);
        self.wait_for_disk(progress, said, now);
    }

    fn be_done(&self, progress: &mut Progress, shelf: &Shelf) {
        shelf.forget_tries();
        (progress.tries.failures, progress.tries.next_at) = (0, Time::default());
        self.note(None);
    }

    fn wait_for_disk(&self, progress: &mut Progress, said: String, now: Time) {
        if self.is_news(&said) {
            tracing::error!("{said}");
        }
        progress.write_at = now.plus(WRITE_EVERY);
        self.note(Some(Failed { at: now, said, next_at: progress.write_at }));
    }

    fn put_off(
        &self,
        progress: &mut Progress,
        authority: &Authority,
        shelf: &Shelf,
        failure: Failure,
        now: Time,
    ) {
        let Failure { kind, said, retry_after } = failure;
        let tries = &mut progress.tries;
        tracing::warn!(?kind, "no certificate: {said}");
        if kind == Kind::Unproven {
            tries.proof = authority.instead_of(tries.proof);
        }
        tries.next_at = again(tries.failures, now, kind, retry_after, progress.luck);
        (tries.said, tries.at) = (said, now);
        if let Err(said) = shelf.put_tries(tries) {
            tracing::warn!("a start of the shop would not wait for the next try: {said}");
        }
        let next = tries.next_at;
        match self.served.certificate() {
            Some(served) => {
                tracing::warn!(until = %served.ends, %next, "goes on with the certificate it has");
            }
            None => tracing::error!(%next, "there is no certificate: HTTPS is refused"),
        }
        self.note(tries.failed());
    }

    /// Asks the authority when it wants the certificate renewed, where it says such things.
    async fn ask_when(&self, progress: &mut Progress, authority: &Authority, shelf: &Shelf, now: Time) {
        progress.ask_at = now.plus(ASK_LATEST);
        let Some(id) = self.served.certificate().and_then(|served| served.id()) else { return };
        let account = match authority.account(shelf).await {
            Ok(account) => account,
            Err(failure) => {
                return tracing::debug!("the authority can't be asked about renewal: {}", failure.said);
            }
        };
        match account.renewal_info(&id).await {
            Ok((info, wait)) => {
                let time = |time: time::OffsetDateTime| Time(time.unix_timestamp().saturating_mul(1000));
                let window =
                    Window { start: time(info.suggested_window.start), end: time(info.suggested_window.end) };
                if progress.window != Some(window) {
                    let because = info.explanation_url.unwrap_or_default();
                    tracing::info!(start = %window.start, end = %window.end, because, "the authority's time for renewal");
                }
                progress.window = Some(window);
                progress.ask_at = now.plus(wait.clamp(ASK_SOONEST, ASK_LATEST));
            }
            Err(Error::Unsupported(_)) => {}
            Err(error) => {
                let wait = authority.wire.take_retry_after().unwrap_or_default();
                progress.ask_at = now.plus(wait.clamp(ASK_SOONEST, ASK_LATEST));
                tracing::debug!(%error, "the authority does not say when to renew");
            }
        }
    }

    fn failed(&self) -> Option<Failed> {
        self.standing().failed
    }

    fn is_news(&self, said: &str) -> bool {
        self.failed().is_none_or(|failed| failed.said != said)
    }
}
