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
use lettre::transport::smtp::response::{Response, Severity};
use reqwest::Url;
use tokio::time::timeout;

use super::model::{Connection, Letter, Undelivered};

/// How long a server may think about a whole message (RFC 5321, 4.5.3.2.6): whoever goes before it is done sends the
/// message a second time.
const MESSAGE_TAKEN_IN: Duration = Duration::from_mins(10);

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

    /// Host and port.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether no letter and no password goes to it in plain text.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.tls, Tls::Implicit | Tls::Required)
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
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a refusal is about the recipient or the message. All others, of relaying or of quotas, are about us, and are
/// mended: the letter can wait.
fn is_about_letter(error: &Error) -> bool {
    let Some(code) = error.status().filter(|_| error.is_permanent()) else { return false };
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let mut enhanced = text.split_whitespace().next().unwrap_or_default().split('.');
    match [enhanced.next(), enhanced.next(), enhanced.next()] {
        // The sender's address is ours.
        [Some("5"), Some("1"), Some("7" | "8")] => false,
        [Some("5"), Some("1" | "2" | "6"), Some(_)] | [Some("5"), Some("3"), Some("4")] => true,
        [Some("5"), Some(_), Some(_)] => false,
        _ => (550..=554).contains(&u16::from(code)),
    }
}

impl Line {
    /// A step of the conversation, with the kind of answer that belongs to it.
    async fn step(
        &mut self,
        wanted: Severity,
        limit: Duration,
        work: impl AsyncFnOnce(&mut AsyncSmtpConnection) -> Result<Response, Error>,
    ) -> Result<Response, Undelivered> {
        match timeout(limit, work(&mut self.smtp)).await {
            Ok(Ok(answer)) if answer.code().severity == wanted => Ok(answer),
            Ok(Ok(answer)) => {
                // It answers something else: nobody knows what the next answer will be to.
                self.is_open = false;
                Err(Undelivered::Later(format!("the mail server's {} comes out of turn", answer.code())))
            }
            Ok(Err(error)) if is_about_letter(&error) => Err(Undelivered::Refused(said(&error))),
            Ok(Err(error)) => {
                // Whoever answers in codes goes on listening.
                self.is_open &= error.status().is_some();
                Err(Undelivered::Later(said(&error)))
            }
            Err(_) => {
                self.is_open = false;
                Err(Undelivered::Later("the mail server takes too long to answer".into()))
            }
        }
    }

    async fn command(
        &mut self,
        command: impl std::fmt::Display,
        wanted: Severity,
    ) -> Result<Response, Undelivered> {
        self.step(wanted, self.timeout, async |smtp| smtp.command(command).await).await
    }

    async fn hand_over(&mut self, letter: &Letter) -> Result<String, Undelivered> {
        use Severity::{PositiveCompletion as Done, PositiveIntermediate as GoOn};
        let takes_all = self.smtp.server_info().supports_feature(Extension::SmtpUtfEight);
        let message = message(letter, takes_all).map_err(Undelivered::Refused)?;
        let (envelope, bytes) = (message.envelope(), message.formatted());
        let mut options = Vec::new();
        if !envelope.to().iter().chain(envelope.from()).all(is_ascii) {
            if !takes_all {
                return Err(Undelivered::Later("the mail server takes ASCII senders only".into()));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if !bytes.is_ascii() {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        // What it has against the sender, or against us, can be mended.
        let against_us = |why| match why {
            Undelivered::Refused(said) | Undelivered::Later(said) => Undelivered::Later(said),
        };
        let from = Mail::new(envelope.from().cloned(), options);
        self.command(from, Done).await.map_err(against_us)?;
        let (mut taken, mut why) = (false, Undelivered::Refused("it is to nobody".into()));
        for to in envelope.to() {
            match self.command(Rcpt::new(to.clone(), vec![]), Done).await {
                Ok(_) => taken = true,
                Err(said) if !self.is_open => return Err(said),
                // As long as one may take it, there is sense in trying.
                Err(_) if matches!(why, Undelivered::Later(_)) => {}
                Err(said) => why = said,
            }
        }
        if !taken {
            return Err(why);
        }
        self.command(Data, GoOn).await.map_err(against_us)?;
        let limit = self.timeout.max(MESSAGE_TAKEN_IN);
        let answer = self.step(Done, limit, async |smtp| smtp.message(&bytes).await).await?;
        Ok(answer.first_line().unwrap_or_default().to_owned())
    }
}

#[async_trait]
impl Connection for Line {
    async fn send(&mut self, letter: &Letter) -> Result<String, Undelivered> {
        let sent = self.hand_over(letter).await;
        if sent.is_err() && self.is_open {
            // What was begun with this letter must not be part of the next.
            let reset = self.command("RSET\r\n", Severity::PositiveCompletion).await;
            self.is_open &= reset.is_ok();
        }
        sent
    }

    fn is_open(&self) -> bool {
        self.is_open
    }

    async fn close(&mut self) {
        if self.is_open {
            let _ = self.step(Severity::PositiveCompletion, self.timeout, AsyncSmtpConnection::quit).await;
        }
        self.is_open = false;
    }
}

fn is_ascii(address: &Address) -> bool {
    AsRef::<str>::as_ref(address).is_ascii()
}

/// The letter as it is transmitted, to those of its recipients who can be written to: by a server that takes all
/// addresses, or ASCII's only.
fn message(letter: &Letter, takes_all: bool) -> Result<Message, String> {
    let to = letter.to.iter().filter_map(|to| to.as_str().parse::<Address>().ok());
    let to: Vec<_> = to.filter(|to| takes_all || is_ascii(to)).collect();
    if to.is_empty() {
        return Err("the mail server can't write to such an address".into());
    }
    let mut builder = Message::builder()
        .message_id(Some(letter.message_id.clone()))
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(letter.date.0.max(0).cast_unsigned()))
        .from(sender(&letter.from)?)
        .subject(&letter.subject)
        // No robot is to answer (RFC 3834).
        .header(AutoSubmitted);
    for to in to {
        builder = builder.to(Mailbox::new(None, to));
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
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    fn letter() -> Letter {
        Letter {
            message_id: "<1@shop>".into(),
            from: "Änne's \"Tees\" <shop@example.com>".into(),
            to: vec!["ann@example.com".parse().expect("an address")],
            date: crate::clock::Time(1_800_000_000_000),
            subject: "Order 1001\r\nBcc: eve@example.com\r\n\r\nhello".into(),
            text: "Grüße, 茶\r\n.\r\nMAIL FROM:<eve@example.com>".into(),
            html: "<p>Grüße</p>".into(),
            attachments: Vec::new(),
        }
    }

    /// What a mail server answers to a command that begins so, and after how many milliseconds.
    type Script = &'static [(&'static str, &'static str, u64)];

    /// Has a server that goes by the script be handed a letter; what came of it.
    async fn handed(to: &[&str], script: Script) -> Result<String, Undelivered> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a caller");
            let (read, mut write) = stream.into_split();
            write.write_all(b"220 hello\r\n").await.expect("heard");
            let (mut lines, mut is_message) = (BufReader::new(read).lines(), false);
            while let Ok(Some(line)) = lines.next_line().await {
                if is_message && line != "." {
                    continue;
                }
                let known = script.iter().find(|(begin, ..)| line.starts_with(begin));
                let usual = if line.starts_with("DATA") { "354 go on" } else { "250 OK" };
                let (answer, after) = known.map_or((usual, 0), |(_, answer, after)| (answer, *after));
                is_message = answer.starts_with("354");
                tokio::time::sleep(Duration::from_millis(after)).await;
                let _ = write.write_all(format!("{answer}\r\n").as_bytes()).await;
            }
        });
        let url = format!("smtp://127.0.0.1:{port}?tls=off");
        let server = Server::read(&url, Duration::from_millis(500)).expect("a server");
        let mut line = Smtp::new(server).expect("TLS").connect().await.expect("it listens");
        line.send(&Letter { to: to.iter().map(|to| to.parse().expect("an address")).collect(), ..letter() })
            .await
    }

    #[tokio::test]
    async fn an_answer_that_comes_late_is_not_taken_for_the_next_one() {
        let script = &[("RCPT TO:<a@", "250 OK", 700), (".", "554 5.6.0 no", 0)];
        let late = handed(&["a@example.com", "b@example.com"], script).await;
        assert_eq!(late, Err(Undelivered::Later("the mail server takes too long to answer".into())));
        let out_of_turn = handed(&["a@example.com"], &[(".", "354 go on", 0)]).await;
        assert!(
            matches!(&out_of_turn, Err(Undelivered::Later(said)) if said.contains("354")),
            "{out_of_turn:?}"
        );
    }

    #[tokio::test]
    async fn one_address_that_can_not_be_written_to_costs_the_others_nothing() {
        let to = ["ann@example.com", "änne@example.com"];
        assert_eq!(handed(&to, &[]).await, Ok("OK".into()));
        let alone = handed(&to[1..], &[]).await;
        assert!(
            matches!(&alone, Err(Undelivered::Refused(said)) if said.contains("such an address")),
            "{alone:?}"
        );
    }

    #[tokio::test]
    async fn only_what_is_said_of_the_recipient_or_the_message_is_for_good() {
        for (to, answer, is_final) in [
            ("RCPT", "550 5.1.1 unknown", true),
            ("RCPT", "550 no such mailbox", true),
            ("RCPT", "550 5.7.1 relaying denied", false),
            ("RCPT", "530 5.7.0 log in first", false),
            ("RCPT", "503 bad sequence", false),
            ("RCPT", "552 5.2.2 mailbox full", true),
            ("RCPT", "450 4.2.0 try later", false),
            ("MAIL", "550 5.1.8 who are you", false),
            ("MAIL", "550 5.1.1 unknown", false),
            ("DATA", "554 not now", false),
            (".", "552 5.3.4 too big", true),
            (".", "554 5.6.0 what is that", true),
            (".", "550 5.4.5 daily quota exceeded", false),
        ] {
            let script: Script = Box::leak(Box::new([(to, answer, 0)]));
            let said = handed(&["a@example.com"], script).await;
            assert_eq!(matches!(said, Err(Undelivered::Refused(_))), is_final, "{answer}: {said:?}");
            assert!(said.is_err(), "{answer}");
        }
        let taken = [("RCPT TO:<a@", "550 5.1.1 unknown", 0)].as_slice();
        let script: Script = Box::leak(taken.into());
        assert_eq!(handed(&["a@example.com", "b@example.com"], script).await, Ok("OK".into()));
    }

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
        let bytes = message(&letter(), true).expect("it can be written").formatted();
        let text = String::from_utf8(bytes).expect("ASCII");
        assert!(text.is_ascii(), "{text}");
        let head = text.split("\r\n\r\n").next().expect("a head");
        assert!(!head.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head}");
        for line in ["Message-ID: <1@shop>", "Auto-Submitted: auto-generated", "To: ann@example.com"] {
            assert!(head.lines().any(|own| own == line), "{line} in {head}");
        }
    }
}
