//! One order at a certificate authority (RFC 8555): account, proof, certificate.

use std::fmt;
use std::time::Duration;

use instant_acme::{
    Account as AcmeAccount, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::served::Served;
use super::shelf::{Account, Shelf};
use super::wire::Wire;
use crate::config::Config;

/// How long an order may take in all.
const ORDER_TIME: Duration = Duration::from_mins(5);
/// How an order is asked after while the authority works on it.
const ASK_AGAIN: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.5).timeout(Duration::from_mins(2));

/// How a domain is proven.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Proof {
    /// A handshake on port 443 (RFC 8737).
    #[default]
    TlsAlpn,
    /// A request on port 80 (RFC 8555, 8.3).
    Http,
}

impl Proof {
    fn other(self) -> Proof {
        match self {
            Proof::TlsAlpn => Proof::Http,
            Proof::Http => Proof::TlsAlpn,
        }
    }

    fn challenge(self) -> ChallengeType {
        match self {
            Proof::TlsAlpn => ChallengeType::TlsAlpn01,
            Proof::Http => ChallengeType::Http01,
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proof::TlsAlpn => "TLS-ALPN-01",
            Proof::Http => "HTTP-01",
        })
    }
}

/// Who gives certificates.
pub struct Authority {
    pub directory: String,
    email: String,
    pub domains: Vec<String>,
    pub wire: Wire,
    /// Whether there is a door for plain HTTP.
    has_http: bool,
}

/// Why there is no certificate.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub said: String,
    /// The authority said so.
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The authority could not prove a domain this way; another may do.
    Unproven,
    /// It refuses.
    Refused,
    /// It does not answer, or not as an authority does.
    Unreachable,
    /// The process ended in the middle of the order.
    CutOff,
}

/// A chain and its key (PEM).
pub struct Issued {
    pub chain: String,
    pub key: Zeroizing<String>,
}

impl Authority {
    pub fn of(config: &Config) -> Result<Authority, String> {
        let mut roots = Vec::new();
        if !config.https_acme_ca_file.is_empty() {
            let file = &config.https_acme_ca_file;
            let pem = std::fs::read(file).map_err(|error| format!("{file} can't be read: {error}"))?;
            roots =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| format!("{file}: {error}"))?;
            if roots.is_empty() {
                return Err(format!("{file}: there is no certificate in it"));
            }
        }
        Ok(Authority {
            directory: config.https_acme_directory.clone(),
            email: config.https_acme_email.clone(),
            domains: config.https_domain.0.clone(),
            wire: Wire::new(roots)?,
            has_http: config.https_http_listen.is_some(),
        })
    }

    /// How to prove the domains after `proof` did not do.
    pub fn instead_of(&self, proof: Proof) -> Proof {
        if self.has_http { proof.other() } else { proof }
    }

    /// Has a certificate made, in the place of `old`. Nothing of it is kept but the account. Each domain is proven once,
    /// by `proof` where the authority offers that: it counts proofs that fail.
    pub async fn order(
        &self,
        shelf: &Shelf,
        served: &Served,
        proof: Proof,
        old: Option<CertificateIdentifier<'_>>,
    ) -> Result<Issued, Failure> {
        let issued = tokio::time::timeout(ORDER_TIME, self.go_through(shelf, served, proof, old)).await;
        served.expect_nothing();
        issued.unwrap_or_else(|_| {
            Err(self.failure(Kind::Unreachable, "the order takes too long; it is given up".into()))
        })
    }

    async fn go_through(
        &self,
        shelf: &Shelf,
        served: &Served,
        proof: Proof,
        old: Option<CertificateIdentifier<'_>>,
    ) -> Result<Issued, Failure> {
        let account = self.account(shelf).await?;
        let mut order = match self.begin(&account, old).await {
            Err(Error::Api(problem)) if is(&problem, "accountDoesNotExist") => {
                tracing::warn!("the authority does not know the account any more; another is made");
                let account = self.new_account(shelf).await?;
                self.begin(&account, None).await
            }
            begun => begun,
        }
        .map_err(|error| self.failed(&error))?;
        if order.state().status == OrderStatus::Pending {
            self.prove(&mut order, served, proof).await?;
        }
        let key = Zeroizing::new(order.finalize().await.map_err(|error| self.failed(&error))?);
        let chain = order.poll_certificate(&ASK_AGAIN).await.map_err(|error| self.failed(&error))?;
        Ok(Issued { chain, key })
    }

    async fn begin(
        &self,
        account: &AcmeAccount,
        old: Option<CertificateIdentifier<'_>>,
    ) -> Result<Order, Error> {
        let names: Vec<_> = self.domains.iter().cloned().map(Identifier::Dns).collect();
        let order = NewOrder::new(&names);
        let Some(old) = old else { return account.new_order(&order).await };
        match account.new_order(&NewOrder::new(&names).replaces(old)).await {
            // Which one it takes the place of is good to know, and no more.
            Err(Error::Unsupported(_) | Error::Other(_)) => account.new_order(&order).await,
            Err(Error::Api(problem))
                if !is(&problem, "rateLimited") && !is(&problem, "accountDoesNotExist") =>
            {
                account.new_order(&order).await
            }
            begun => begun,
        }
    }

    /// Proves every domain that is not proven yet, and waits for the authority's word.
    async fn prove(&self, order: &mut Order, served: &Served, mut proof: Proof) -> Result<(), Failure> {
        let mut all = order.authorizations();
        while let Some(one) = all.next().await {
            let mut one = one.map_err(|error| self.failed(&error))?;
            if one.status == AuthorizationStatus::Valid {
                continue;
            }
            let domain = one.identifier().to_string();
            let offers = |proof: Proof| one.challenges.iter().any(|each| each.r#type == proof.challenge());
            if !offers(proof) {
                proof = self.instead_of(proof);
            }
            let Some(mut challenge) = one.challenge(proof.challenge()) else {
                let said = format!("the authority offers no way to prove {domain} that there is here");
                return Err(self.failure(Kind::Refused, said));
            };
            let authorization = challenge.key_authorization();
            match proof {
                Proof::TlsAlpn => served
                    .expect_handshake(&domain, authorization.digest().as_ref())
                    .map_err(|said| self.failure(Kind::Refused, said))?,
                Proof::Http => served.expect_request(&challenge.token, authorization.as_str()),
            }
            challenge.set_ready().await.map_err(|error| self.failed(&error))?;
        }
        let polled = order.poll_ready(&ASK_AGAIN).await;
        if let Ok(OrderStatus::Ready) = polled {
            return Ok(());
        }
        // An order says less than its authorizations do.
        let is_over = order.state().status == OrderStatus::Invalid;
        let told = if is_over { why_not(order).await } else { None };
        Err(match (told, polled) {
            (Some((domain, problem)), _) => self.unproven(proof, &format!("{domain}: "), problem),
            (None, Err(Error::Api(problem))) => self.unproven(proof, "", problem),
            (None, Err(error)) => self.failed(&error),
            (None, Ok(_)) => {
                self.failure(Kind::Unproven, format!("{proof}: the authority does not say what is wrong"))
            }
        })
    }

    /// What the authority has against a proof. Another is of no use where the names themselves are at fault, or where it
    /// hears no more proofs.
    fn unproven(&self, proof: Proof, of: &str, problem: Problem) -> Failure {
        let is_in_vain = ["dns", "caa", "rateLimited"].iter().any(|kind| is(&problem, kind));
        let failure = self.failed(&Error::Api(problem));
        let is_proof = failure.kind == Kind::Refused && !is_in_vain;
        let kind = if is_proof { Kind::Unproven } else { failure.kind };
        Failure { kind, said: format!("{proof}: {of}{}", failure.said), ..failure }
    }

    /// The account at this authority; made where there is none.
    pub async fn account(&self, shelf: &Shelf) -> Result<AcmeAccount, Failure> {
        let unusable = |said| self.failure(Kind::Refused, said);
        let Some(kept) = shelf.account(&self.directory).map_err(unusable)? else {
            return self.new_account(shelf).await;
        };
        // The library takes credentials whole, and this goes on to keep them.
        let text = serde_json::to_vec(&kept.credentials).expect("credentials are plain data");
        let credentials = serde_json::from_slice(&text).expect("they were written just now");
        let builder = AcmeAccount::builder_with_http(Box::new(self.wire.clone()));
        let account = builder.from_credentials(credentials).await.map_err(|error| self.failed(&error))?;
        if kept.email != self.email {
            let mailto = self.mailto();
            let mailto: Vec<&str> = mailto.iter().map(String::as_str).collect();
            match account.update_contacts(&mailto).await {
                Ok(()) => {
                    let kept = Account { email: self.email.clone(), ..kept };
                    shelf.put_account(&kept, &self.directory).map_err(unusable)?;
                }
                // The certificate does not depend on it.
                Err(error) => tracing::warn!(%error, "the authority does not take https.acme_email"),
            }
        }
        Ok(account)
    }

    async fn new_account(&self, shelf: &Shelf) -> Result<AcmeAccount, Failure> {
        let mailto = self.mailto();
        let contact: Vec<&str> = mailto.iter().map(String::as_str).collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let builder = AcmeAccount::builder_with_http(Box::new(self.wire.clone()));
        let made = builder.create(&new, self.directory.clone(), None).await;
        let (account, credentials) = made.map_err(|error| self.failed(&error))?;
        let kept = Account { email: self.email.clone(), credentials };
        shelf.put_account(&kept, &self.directory).map_err(|said| self.failure(Kind::Refused, said))?;
        tracing::info!(directory = self.directory, "has an account at the certificate authority");
        Ok(account)
    }

    /// Where the authority may write to, if anywhere.
    fn mailto(&self) -> Option<String> {
        (!self.email.is_empty()).then(|| format!("mailto:{}", self.email))
    }

    fn failed(&self, error: &Error) -> Failure {
        match error {
            // What may go well the next time, with nothing changed.
            Error::Api(problem)
                if is(problem, "badNonce") || problem.status.is_some_and(|status| status >= 500) =>
            {
                self.failure(Kind::Unreachable, said(problem))
            }
            Error::Api(problem) => self.failure(Kind::Refused, said(problem)),
            error => self.failure(Kind::Unreachable, error.to_string()),
        }
    }

    fn failure(&self, kind: Kind, said: String) -> Failure {
        Failure { kind, said, retry_after: self.wire.take_retry_after() }
    }
}

/// Why an order is no good: what its authorizations say, and of which domain.
async fn why_not(order: &mut Order) -> Option<(String, Problem)> {
    let mut all = order.authorizations();
    while let Some(Ok(mut one)) = all.next().await {
        let domain = one.identifier().to_string();
        let looked = one.refresh().await.ok()?;
        if let Some(problem) = looked.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some((domain, problem.clone()));
        }
    }
    None
}

fn is(problem: &Problem, kind: &str) -> bool {
    problem.r#type.as_deref().and_then(|own| own.strip_prefix("urn:ietf:params:acme:error:")) == Some(kind)
}

fn said(problem: &Problem) -> String {
    let text = problem.to_string();
    text.strip_prefix("API error: ").unwrap_or(&text).to_owned()
}
