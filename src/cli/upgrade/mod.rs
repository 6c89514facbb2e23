//! `till upgrade`: another till in the place of the one that runs, and back if it is no good.

mod candidate;
mod place;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::client::Shop;
use super::output::{Output, text_of};
use super::service::{BINARY, CONFIG, SERVICE, SOCKET};
use super::{CliError, Global};
use crate::config::{Config, Flags};
use crate::store::{FORMAT, Upgrade};
use candidate::Candidate;
use place::{Data, Note, Place};
use watch::{Trouble, Watch};

/// Puts another till in the place of the one that runs, and goes back by itself if that is no good
///
/// The new program is asked what it is, and has to accept the settings. The shop makes a backup that is proven good. Then
/// the program is changed (the old one stays beside it as till.previous), the shop started anew, and watched until it is
/// ready. If it is not, the old program comes back, and the data file too where the new one had changed its format; when
/// customers were already served out of that, it stays, because going back would lose what they were told.
/// With the service's sockets nobody is refused meanwhile; an upgrade that was cut off is ended by the next one.
///
/// sudo till upgrade --from ./till
/// till upgrade --from ./till --binary /opt/till --restart "supervisorctl restart till"
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// The new program
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The installed program, whose place it takes
    #[arg(long, value_name = "FILE", default_value = BINARY)]
    binary: PathBuf,
    /// What starts the shop anew, for the shell; it has to return [default: systemctl restart till]
    #[arg(long, value_name = "COMMAND")]
    restart: Option<String>,
    /// How long the new one has to get ready, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "90", value_parser = clap::value_parser!(u64).range(1..=86400))]
    wait: u64,
    /// Looks at the new program and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Takes a version that is not newer, too, and one for a shop that is not ready, which makes no backup
    #[arg(long)]
    force: bool,
}

pub async fn run(options: Options, global: &Global, out: &Output) -> Result<ExitCode, CliError> {
    if global.url.is_some() {
        return Err(CliError::usage("a shop is upgraded on its own machine, without --url"));
    }
    if options.restart.is_none() && !options.dry_run {
        if !Path::new(SERVICE).exists() {
            let said =
                "there is no service on this machine; --restart names the command that starts the shop anew";
            return Err(CliError::failed(said));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(CliError::failed("this takes root's rights: sudo till upgrade"));
        }
    }
    // A service has settings of its own, whatever lies where this is called.
    let mut global = global.clone();
    if options.restart.is_none() && Path::new(SERVICE).exists() && global.named_config().is_none() {
        global.config = Some(CONFIG.into());
    }
    let global = &global;
    let config = global.load_config(Flags::default())?;
    let place = Place::take(&options.binary, &config.data_dir)?;
    let watch = Watch {
        config: &config,
        restart: options.restart.as_deref(),
        patience: Duration::from_secs(options.wait),
        out,
    };
    let upgrading =
        Upgrading { options: &options, global, config: &config, place: &place, watch: &watch, out };
    let done = upgrading.run().await;
    place.drop_waiting();
    done
}

/// How long the data file may take to get free, in tenths of a second.
const FREE_WITHIN: usize = 150;

struct Upgrading<'a> {
    options: &'a Options,
    global: &'a Global,
    config: &'a Config,
    place: &'a Place,
    watch: &'a Watch<'a>,
    out: &'a Output,
}

impl Upgrading<'_> {
    async fn run(&self) -> Result<ExitCode, CliError> {
        if let Some(note) = self.place.cut_off()? {
            if self.options.dry_run {
                return Err(CliError::failed("an earlier upgrade was cut off; the next one ends it first"));
            }
            if let Err(CliError { said: error, .. }) = self.end(&note).await {
                if !self.options.force {
                    return Err(CliError::failed(format!(
                        "{error}\n--force goes on without ending that upgrade"
                    )));
                }
                self.out.note(&format!("that upgrade could not be ended: {error}"));
                self.place.done()?;
            }
        }
        self.place.bring(&self.options.from)?;
        let new = Candidate::ask(&self.place.waiting(), &self.options.from)?;
        let old = Candidate::ask(&self.place.binary, &self.place.binary).ok();
        Candidate::check_config(&self.place.waiting(), self.global)?;
        self.is_wanted(&new, old.as_ref())?;
        let running = self.watch.look().await.filter(|seen| seen.is_ready);
        if running.is_none() && !self.options.force {
            return Err(CliError::failed(
                "the shop is not ready, so it can't make a backup first; `till service status` says how it is, and --force \
                 goes on without",
            ));
        }
        let old_format = old.as_ref().map(|old| old.format);
        let was = running.as_ref().map(|seen| seen.version.clone());
        let was = was.or(old.map(|old| old.version.to_string())).unwrap_or_else(|| "unknown".into());
        let version = new.version.to_string();
        if self.options.dry_run {
            let document = json!({
                "dry_run": true, "from": was, "to": version, "format": old_format, "new_format": new.format,
            });
            self.out.document(&document, |_| {
                format!("{version} would take the place of {was}, in {}\n", self.place.binary.display())
            });
            return Ok(ExitCode::SUCCESS);
        }
        let backup = match running {
            Some(_) => Some(self.back_up().await?),
            None => None,
        };
        self.out.note(&format!("changing {} from {was} to {version}", self.place.binary.display()));
        let note = self.place.swap(&was, &version, old_format.unwrap_or(u64::from(FORMAT)))?;
        if let Err(why) = self.watch.restart(&self.place.binary).await {
            return Err(self.go_back(&note, &why, backup.as_deref()).await);
        }
        self.place.done()?;
        let previous = self.place.previous().display().to_string();
        let document = json!({"from": was, "to": version, "backup": backup, "previous": previous});
        self.out.document(&document, |_| format!("the shop runs {version}; {was} is kept as {previous}\n"));
        if self.options.restart.is_none() {
            self.tell_of_units();
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Whether the new one may take the old one's place.
    fn is_wanted(&self, new: &Candidate, old: Option<&Candidate>) -> Result<(), CliError> {
        let refuse = |said: String| Err(CliError::failed(format!("{}: {said}", self.options.from.display())));
        let Some(old) = old else { return Ok(()) };
        let (version, format) = (&new.version, new.format);
        if format < old.format {
            return refuse(format!(
                "till {version} can't read data of format {}, which the shop's is; restore a backup that it has made \
                 itself",
                old.format
            ));
        }
        if *version <= old.version && !self.options.force {
            return refuse(format!(
                "this is till {version}, and {} is installed; --force takes it all the same",
                old.version
            ));
        }
        match self.config.data_upgrade {
            Upgrade::Refuse if format > old.format => refuse(format!(
                "till {version} brings the data to format {format}, and data.upgrade is refuse; set it to snapshot"
            )),
            Upgrade::Direct if format > old.format && !self.options.force => refuse(format!(
                "till {version} brings the data to format {format}, and data.upgrade is direct: there is no way back \
                 without a copy. Set it to snapshot, or go on with --force"
            )),
            _ => Ok(()),
        }
    }

    /// Says so where the new till would have systemd run it in another way than the one that was there.
    fn tell_of_units(&self) {
        let binary = &self.place.binary;
        if Candidate::would_write(binary, &[SERVICE, SOCKET]) {
            self.out.note(&format!(
                "it comes with other units for systemd: `sudo {} service install` puts them in place",
                binary.display()
            ));
        }
    }

    /// Has the shop make a backup that is proven good; its name.
    async fn back_up(&self) -> Result<String, CliError> {
        let shop = Shop::running(&self.config.data_dir).await?;
        let shop = shop.ok_or_else(|| CliError::failed("the shop is gone"))?;
        let kept = shop.follow("/api/admin/backups/", None, self.out).await?;
        let name = text_of(&kept, "name");
        self.out.note(&format!("the shop has made the backup {name}"));
        Ok(name)
    }

    /// Brings back what was, after `why`; what is to be said about it.
    async fn go_back(&self, note: &Note, why: &Trouble, backup: Option<&str>) -> CliError {
        let Note { from, to, .. } = note;
        let why = match why {
            Trouble::NotStarted(why) => format!("the shop was not restarted: {why}"),
            Trouble::NotWell(why) => format!("till {to} is no good: {why}"),
        };
        self.out.note(&format!("{why}; going back to {from}"));
        let backup = backup.map(|name| format!(" The backup from before is {name}.")).unwrap_or_default();
        CliError::failed(match self.back(note).await {
            Ok(Data::Same | Data::InUse) => {
                format!("{why}. The shop runs {from} again.")
            }
            Ok(Data::Back) => format!(
                "{why}. The shop runs {from} again, with its data as it was: {to} had changed the \
                 format and answered nobody."
            ),
            Ok(Data::Taken) => format!(
                "{why}. It had changed the format of the data, and answered customers or kept no copy; \
                 {from} can't read that, so {to} stays and nothing is lost. `till restore` of a backup brings {from}'s data back, \
                 without what came later.{backup}"
            ),
            Err(CliError { said: error, .. }) => format!(
                "{why}. Going back to {from} failed, too: {error}. The next `till upgrade` tries that \
                 again first.{backup}"
            ),
        })
    }

    /// Brings the old program back, and its data if need be.
    async fn back(&self, note: &Note) -> Result<Data, CliError> {
        self.place.put_back(note)?;
        let binary = &self.place.binary;
        // Cut off before the new one was started, the old one may run as if nothing had happened.
        let wanted = place::FileId::of(binary)?;
        let is_well = self.watch.look().await.is_some_and(|seen| seen.is_ready && seen.runs == Some(wanted));
        if is_well {
            self.place.done()?;
            return Ok(Data::Same);
        }
        let data = if self.place.has_new_copy(note)? {
            // The old program can't run on data that was changed: its start only ends the new one.
            self.watch.end().await.map_err(CliError::failed)?;
            self.put_data_back(note).await?
        } else {
            Data::Same
        };
        match data {
            Data::InUse => return Err(CliError::failed("what runs does not let go of the data file")),
            Data::Taken => {
                self.place.put_forward()?;
                // As well as it can.
                let _ = self.watch.restart(binary).await;
            }
            Data::Same | Data::Back => {
                if let Err(why) = self.watch.restart(binary).await {
                    // Without a copy only the file itself says that it was brought to a newer format.
                    let Data::Taken = self.put_data_back(note).await? else {
                        return Err(why.into());
                    };
                    self.place.put_forward()?;
                    let _ = self.watch.restart(binary).await;
                    self.place.done()?;
                    return Ok(Data::Taken);
                }
            }
        }
        self.place.done()?;
        Ok(data)
    }

    /// [`Place::put_data_back`], once nobody has the file: a program that is started in vain has it for a moment.
    async fn put_data_back(&self, note: &Note) -> Result<Data, CliError> {
        for _ in 0..FREE_WITHIN {
            match self.place.put_data_back(note)? {
                Data::InUse => tokio::time::sleep(Duration::from_millis(100)).await,
                data => return Ok(data),
            }
        }
        Ok(Data::InUse)
    }

    /// Ends an upgrade that was cut off: it is taken for done if the new program is well, and else for failed.
    async fn end(&self, note: &Note) -> Result<(), CliError> {
        let Note { from, to, .. } = note;
        self.out.note(&format!("an upgrade from {from} to {to} was cut off"));
        let running = self.watch.look().await.filter(|seen| seen.is_ready);
        let is_installed = self.place.is_new(note);
        let wanted = place::FileId::of(&self.place.binary)?;
        if is_installed && running.is_some_and(|seen| seen.runs == Some(wanted)) {
            self.out.note(&format!("the shop runs {to}, and is well"));
            return self.place.done();
        }
        if let Data::Taken = self.back(note).await? {
            return Err(CliError::failed(format!(
                "customers were already served by {to}: it stays, and this upgrade begins anew"
            )));
        }
        self.out.note(&format!("the shop is back at {from}"));
        Ok(())
    }
}
