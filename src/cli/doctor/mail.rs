//! The mail server: whether it lets the shop in. No mail is sent.

use super::not_asked;
use super::patient::Patient;
use crate::advice::{Advice, error, ok, warning};
use crate::mail::{Smtp, Transport};

pub async fn look(patient: &Patient) -> Vec<Advice> {
    let config = patient.config();
    let server = match config.mail_server() {
        Ok(Some(server)) => server,
        Ok(None) => {
            return vec![warning(
                "no mail server is configured: mails are kept, and none is sent",
                "set mail.smtp_url and mail.from; then try `till mail test --to YOU`",
            )];
        }
        Err(said) => return vec![error(format!("mail.smtp_url {said}"), "mend it")],
    };
    if patient.is_offline {
        return not_asked();
    }
    let name = server.name();
    let mut found = Vec::new();
    if !server.is_encrypted() {
        found.push(warning(
            format!("mails go to {name} without encryption, or may"),
            "use smtps://, or smtp:// without ?tls=, unless it is this machine's own",
        ));
    }
    match try_to_connect(server).await {
        Ok(()) => found.push(ok(format!("{name} lets the shop in"))),
        Err(said) => found.push(error(
            format!("{name} does not let the shop in: {said}"),
            "look at mail.smtp_url: host, port, user and password; `till mail test --to YOU` tries a whole mail",
        )),
    }
    found
}

/// Connects, as if there were a mail, and goes.
pub async fn try_to_connect(server: crate::mail::Server) -> Result<(), String> {
    let mut line = Smtp::new(server)?.connect().await?;
    line.close().await;
    Ok(())
}
