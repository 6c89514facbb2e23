//! Handing letters to a mail server.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lettre::Address;
use lettre::message::header::ContentType;
use lettre::message::{self, Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use reqwest::Url;
use tokio::time::timeout;

use super::model::{Connection, Letter, Undelivered};

/// Most bytes of a server's answer that are kept.
const SAID: usize = 500;

/// What letters are handed to.
#[async_trait]
pub trait Transport: Send + Sync {
    /// # Errors
    /// Why no letter at all can be handed over now: no fault of any of them.
    async fn connect(&self) -> Result<Box<dyn Connection>, String>;
}

/// Whether the line to the server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    /// From the first byte.
    Implicit,
    /// STARTTLS, or nothing is said.
    Required,
    /// STARTTLS where it is offered.
    Opportunistic,
    Off,
}

/// A mail server as the settings name it.
#[derive(Clone)]
pub struct Server {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    /// How we are called; `None`: by our address.
    own_name: Option<String>,
    timeout: Duration,
}

impl Server {
    /// Reads `smtp://user:password@host:port?tls=required|opportunistic|off`, or `smtps://…`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(url: &str, timeout: Duration) -> Result<Server, String> {
        let shape = "must be smtps://USER:PASSWORD@HOST or smtp://USER:PASSWORD@HOST";
        let url = Url::parse(url).map_err(|error| format!("{shape}: {error}"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(shape)?;
        let mut wanted = None;
        for (key, value) in url.query_pairs() {
            if key != "tls" || wanted.replace(value.into_owned()).is_some() {
                return Err(format!("{key} is not known here; there is ?tls=required, opportunistic or off"));
            }
        }
        let (tls, port) = match (url.scheme(), wanted.as_deref()) {
            ("smtps", None | Some("required")) => (Tls::Implicit, 465),
            ("smtp", None | Some("required")) => (Tls::Required, 587),
            ("smtp", Some("opportunistic")) => (Tls::Opportunistic, 587),
            ("smtp", Some("off")) => (Tls::Off, 25),
            ("smtps", _) => return Err("smtps:// is always encrypted: leave ?tls= out".into()),
            ("smtp", _) => return Err("tls must be required, opportunistic or off".into()),
            _ => return Err(shape.into()),
        };
        let plain = |text: &str| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            decoded.map(std::borrow::Cow::into_owned).map_err(|_| "the user and password must be UTF-8")
        };
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(plain(url.username())?, plain(password)?)),
            None if url.username().is_empty() => None,
            None => return Err("there is a user and no password: USER:PASSWORD@".into()),
        };
        let own_name = url.path().trim_matches('/');
        Ok(Server {
            // IPv6 addresses stand in brackets in URLs alone.
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(port),
            tls,
            credentials,
            own_name: (!own_name.is_empty()).then(|| own_name.to_owned()),
            timeout,
        })
    }
}

/// Reads whom mails are from.
///
/// # Errors
/// What it must be.
pub fn sender(text: &str) -> Result<Mailbox, String> {
    text.parse()
        .map_err(|_| "must be an address, or a name and an address: Ann's Teas <ann@example.com>".into())
}

/// A mail server over SMTP.
pub struct Smtp {
    server: Server,
    tls: TlsParameters,
    own_name: ClientId,
}

impl Smtp {
    /// # Errors
    /// Why TLS can't be had.
    pub fn new(server: Server) -> Result<Smtp, String> {
        let tls = TlsParameters::new(server.host.clone()).map_err(|error| error.to_string())?;
        let own_name = server.own_name.clone().map_or_else(ClientId::default, ClientId::Domain);
        Ok(Smtp { server, tls, own_name })
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, Error> {
        let Server { host, port, tls, credentials, timeout, .. } = &self.server;
        let at_once = (*tls == Tls::Implicit).then(|| self.tls.clone());
        let at = (host.as_str(), *port);
        let mut line =
            AsyncSmtpConnection::connect_tokio1(at, Some(*timeout), &self.own_name, at_once, None).await?;
        if *tls == Tls::Required || (*tls == Tls::Opportunistic && line.can_starttls()) {
            line.starttls(self.tls.clone(), &self.own_name).await?;
        }
        if let Some(credentials) = credentials {
            line.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(line)
    }
}

#[async_trait]
impl Transport for Smtp {
    async fn connect(&self) -> Result<Box<dyn Connection>, String> {
        let opened = timeout(self.server.timeout, self.open()).await;
        let smtp =
            opened.map_err(|_| "it takes too long to answer".to_owned())?.map_err(|error| said(&error))?;
        Ok(Box::new(Line { smtp, timeout: self.server.timeout, is_open: true }))
    }
}

/// A server that listens.
struct Line {
    smtp: AsyncSmtpConnection,
    timeout: Duration,
    is_open: bool,
}

/// What went wrong, in one line.
fn said(error: &Error) -> String {
    let text = error.to_string();
    // It says that twice, and what follows says it better.
    let text = text.trim_start_matches("Connection error: ");
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.chars().take(SAID).collect()
}

impl Line {
    /// A step of the conversation.
    async fn step<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut AsyncSmtpConnection) -> Result<T, Error>,
    ) -> Result<T, Undelivered> {
        match timeout(self.timeout, work(&mut self.smtp)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) if error.is_permanent() => Err(Undelivered::Refused(said(&error))),
            Ok(Err(error)) => {
                // Whoever answers in codes goes on listening.
                self.is_open &= error.is_transient();
                Err(Undelivered::Later(said(&error)))
            }
            Err(_) => {
                self.is_open = false;
                Err(Undelivered::Later("the mail server takes too long to answer".into()))
            }
        }
    }

    async fn hand_over(&mut self, letter: &Letter) -> Result<String, Undelivered> {
        let message = message(letter).map_err(Undelivered::Refused)?;
        let (envelope, bytes) = (message.envelope(), message.formatted());
        let mut options = Vec::new();
        let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        if !envelope.to().iter().chain(envelope.from()).all(is_ascii) {
            if !self.smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Undelivered::Refused("the mail server takes ASCII addresses only".into()));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if !bytes.is_ascii() {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let from = Mail::new(envelope.from().cloned(), options);
        match self.step(async |smtp| smtp.command(from).await).await {
            // It has something against the sender, or against us, and that can be mended.
            Err(Undelivered::Refused(said)) => return Err(Undelivered::Later(said)),
            other => other?,
        };
        let (mut taken, mut why) = (false, Undelivered::Refused("it is to nobody".into()));
        for to in envelope.to() {
            let to = Rcpt::new(to.clone(), vec![]);
            match self.step(async |smtp| smtp.command(to).await).await {
                Ok(_) => taken = true,
                Err(said) => why = said,
            }
        }
        if !taken {
            return Err(why);
        }
        self.step(async |smtp| smtp.command(Data).await).await?;
        let answer = self.step(async |smtp| smtp.message(&bytes).await).await?;
        Ok(answer.first_line().unwrap_or_default().chars().take(SAID).collect())
    }
}

#[async_trait]
impl Connection for Line {
    async fn send(&mut self, letter: &Letter) -> Result<String, Undelivered> {
        let sent = self.hand_over(letter).await;
        if sent.is_err() && self.is_open {
            // What was begun with this letter must not be part of the next.
            let reset = self.step(async |smtp| smtp.command("RSET\r\n").await).await;
            self.is_open &= reset.is_ok();
        }
        sent
    }

    fn is_open(&self) -> bool {
        self.is_open
    }

    async fn close(&mut self) {
        if self.is_open {
            let _ = self.step(AsyncSmtpConnection::quit).await;
        }
        self.is_open = false;
    }
}

/// The letter as it is transmitted.
fn message(letter: &Letter) -> Result<Message, String> {
    let mut builder = Message::builder()
        .message_id(Some(letter.message_id.clone()))
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(letter.date.0.max(0).cast_unsigned()))
        .from(sender(&letter.from)?)
        .subject(&letter.subject)
        // No robot is to answer (RFC 3834).
        .header(AutoSubmitted);
    for to in &letter.to {
        let address: Address =
            to.as_str().parse().map_err(|_| "the address is none that can be written to".to_owned())?;
        builder = builder.to(Mailbox::new(None, address));
    }
    let text = MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone());
    let whole = if letter.attachments.is_empty() {
        text
    } else {
        letter.attachments.iter().fold(MultiPart::mixed().multipart(text), |whole, attachment| {
            whole.singlepart(attached(attachment))
        })
    };
    builder.multipart(whole).map_err(|error| error.to_string())
}

fn attached(attachment: &super::model::Attachment) -> SinglePart {
    let content_type = ContentType::parse(attachment.content_type).expect("types are written in the code");
    message::Attachment::new(attachment.name.clone()).body(attachment.content.clone(), content_type)
}

#[derive(Clone)]
struct AutoSubmitted;

impl message::header::Header for AutoSubmitted {
    fn name() -> message::header::HeaderName {
        message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> message::header::HeaderValue {
        message::header::HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Server, String> {
        Server::read(url, Duration::from_secs(1))
    }

    #[test]
    fn a_server_is_encrypted_unless_somebody_says_otherwise() {
        let tls = |url| read(url).map(|server| (server.tls, server.port));
        assert_eq!(tls("smtps://mail.example.com"), Ok((Tls::Implicit, 465)));
        assert_eq!(tls("smtp://mail.example.com"), Ok((Tls::Required, 587)));
        assert_eq!(tls("smtp://[::1]:2525?tls=required"), Ok((Tls::Required, 2525)));
        assert_eq!(tls("smtp://mail.example.com?tls=opportunistic"), Ok((Tls::Opportunistic, 587)));
        assert_eq!(tls("smtp://mail.example.com?tls=off"), Ok((Tls::Off, 25)));
        for bad in [
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtps://mail.example.com?tls=off",
            "smtp://mail.example.com?tls=maybe",
            "smtp://mail.example.com?ssl=off",
            "smtp://ann@mail.example.com",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read("smtp://[::1]").map(|server| server.host), Ok("::1".into()));
    }

    #[test]
    fn a_letter_is_one_of_its_headers_whatever_stands_in_them() {
        let letter = Letter {
            message_id: "<1@shop>".into(),
            from: "Änne's \"Tees\" <shop@example.com>".into(),
            to: vec!["ann@example.com".parse().expect("an address")],
            date: crate::clock::Time(1_800_000_000_000),
            subject: "Order 1001\r\nBcc: eve@example.com\r\n\r\nhello".into(),
            text: "Grüße, 茶\r\n.\r\nMAIL FROM:<eve@example.com>".into(),
            html: "<p>Grüße</p>".into(),
            attachments: Vec::new(),
        };
        let bytes = message(&letter).expect("it can be written").formatted();
        let text = String::from_utf8(bytes).expect("ASCII");
        assert!(text.is_ascii(), "{text}");
        let head = text.split("\r\n\r\n").next().expect("a head");
        assert!(!head.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head}");
        for line in ["Message-ID: <1@shop>", "Auto-Submitted: auto-generated", "To: ann@example.com"] {
            assert!(head.lines().any(|own| own == line), "{line} in {head}");
        }
    }
}
