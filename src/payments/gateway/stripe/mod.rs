//! Stripe's REST API: PaymentIntents, Refunds, Disputes, Events.
//! <https://docs.stripe.com/api>

mod examine;
mod objects;
mod signature;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde::de::DeserializeOwned;

use self::objects::{DisputeObject, ErrorBody, EventObject, IntentObject, List, RefundObject};
use super::amount::to_stripe;
use super::wire::{Wire, call, read, unmakeable};
use super::{Charge, Gateway, GatewayError, Heard, Intent, Made, Mode, Notice, Return, Returned, Unheard};
use crate::advice::Advice;
use crate::clock::Time;
use crate::config::Secret;
use crate::money::Money;
use crate::payments::model::Disputed;

/// Its name.
pub const PROVIDER: &str = "stripe";
/// The version that requests and answers are in, whatever the account's default is.
const VERSION: &str = "2023-08-16";
/// What is asked for together with a payment: the charge, and what Stripe keeps of it.
const EXPAND: (&str, &str) = ("expand[]", "latest_charge.balance_transaction");
/// Most items of one page of a list.
const PAGE: &str = "100";
/// Most pages that are read of one list.
const PAGES: usize = 50;
/// The types of events that till goes by.
const EVENTS: [&str; 15] = [
    "payment_intent.succeeded",
    "payment_intent.processing",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.requires_action",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
];

/// What the settings say about Stripe.
#[derive(Clone)]
pub struct Settings {
    pub secret_key: Secret,
    /// The webhook endpoint's secrets: several while one is being replaced.
    pub webhook_secrets: Vec<Secret>,
    /// Without a slash at its end.
    pub api_base: String,
    /// Which shop this is, among others on the same account.
    pub shop: String,
}

pub struct Stripe {
    settings: Settings,
    wire: Arc<dyn Wire>,
}

type Form<'a> = Vec<(&'a str, String)>;

impl Stripe {
    pub fn new(settings: Settings, wire: Arc<dyn Wire>) -> Stripe {
        Stripe { settings, wire }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, GatewayError> {
        let query = encode(query);
        let mark = if query.is_empty() { "" } else { "?" };
        self.ask(Method::GET, &format!("{path}{mark}{query}"), None, String::new()).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        form: Form<'_>,
        key: &str,
    ) -> Result<T, GatewayError> {
        self.ask(Method::POST, path, Some(key), encode(&form)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: String,
    ) -> Result<T, GatewayError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.settings.api_base))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.settings.secret_key.reveal()))
            .header("stripe-version", VERSION);
        let request = match key {
            Some(key) => request
                .header("idempotency-key", key)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
            None => request,
        };
        let request = request.body(body.into_bytes()).map_err(|error| unmakeable(&error))?;
        let answer = call(&*self.wire, request).await?;
        if answer.status().is_success() {
            return read(answer.body());
        }
        Err(refusal(answer.status(), answer.body()))
    }

    /// One page of a list, newest first.
    async fn page(&self, path: &str, mut query: Form<'_>, after: Option<&str>) -> Result<List, GatewayError> {
        query.push(("limit", PAGE.into()));
        if let Some(last) = after {
            query.push(("starting_after", last.to_owned()));
        }
        self.get(path, &query).await
    }

    /// All of a list, newest first, up to a limit.
    async fn all<T: DeserializeOwned>(&self, path: &str, query: Form<'_>) -> Result<Vec<T>, GatewayError> {
        let (mut all, mut after) = (Vec::new(), None);
        for _ in 0..PAGES {
            let list = self.page(path, query.clone(), after.as_deref()).await?;
            after = list.next();
            all.extend(list.read());
            if after.is_none() {
                break;
            }
        }
        Ok(all)
    }

    fn is_of_other_mode(&self, livemode: Option<bool>) -> bool {
        livemode.is_some_and(|live| live != (self.mode() == Mode::Live))
    }

    /// Reads a payment, which must be of the key's own mode.
    fn intent(&self, object: IntentObject) -> Result<Intent, GatewayError> {
        if self.is_of_other_mode(object.livemode) {
            return Err(GatewayError::Failed(format!("{} is of the other mode (test, live)", object.id)));
        }
        object.into_intent()
    }

    fn notice(&self, event: EventObject) -> Heard {
        if self.is_of_other_mode(event.livemode) {
            return Heard::Nothing("it is of the other mode (test, live)".into());
        }
        if !EVENTS.contains(&event.kind.as_str()) {
            return Heard::Nothing("till does not go by events of its type".into());
        }
        match event.subject() {
            Some(subject) => Heard::Notice(Notice { id: event.id, kind: event.kind, subject }),
            None => Heard::Nothing("it names no payment".into()),
        }
    }
}

fn encode(pairs: &[(&str, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// What a 4xx means.
fn refusal(status: StatusCode, body: &[u8]) -> GatewayError {
    let Ok(ErrorBody { error }) = read(body) else {
        return GatewayError::Failed(format!("it answered {status}"));
    };
    match (status, error.kind.as_str()) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => GatewayError::Denied(error.told().message),
        (StatusCode::NOT_FOUND, _) => GatewayError::Gone(error.told().message),
        (_, "idempotency_error") => GatewayError::KeySpent,
        _ => GatewayError::Refused(error.told()),
    }
}

#[async_trait]
impl Gateway for Stripe {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    /// By the key: `sk_live_…`, `rk_live_…`.
    fn mode(&self) -> Mode {
        if self.settings.secret_key.reveal().contains("_live_") { Mode::Live } else { Mode::Test }
    }

    fn takes(&self, amount: Money) -> Result<(), String> {
        to_stripe(amount).map(drop)
    }

    async fn create(&self, charge: &Charge) -> Result<Intent, GatewayError> {
        let units = to_stripe(charge.amount).map_err(|said| GatewayError::refused("amount", said))?;
        let mut form = vec![
            ("amount", units.to_string()),
            ("currency", charge.amount.currency.code().to_ascii_lowercase()),
            ("automatic_payment_methods[enabled]", "true".into()),
            ("description", charge.description.clone()),
            ("metadata[till_payment]", charge.tag.payment.clone()),
            ("metadata[till_shop]", charge.tag.shop.clone()),
        ];
        if let Some(order) = charge.tag.order {
            form.push(("metadata[order_id]", order.to_string()));
        }
        let mut with_receipt = form.clone();
        with_receipt.push(("receipt_email", charge.email.clone()));
        let (path, key) = ("/v1/payment_intents", format!("{}-create", charge.key));
        match self.post(path, with_receipt, &key).await {
            // Stripe knows fewer addresses than there are. The payment does not fail for the want of a receipt.
            Err(GatewayError::Refused(told)) if told.code == "email_invalid" => {
                self.intent(self.post(path, form, &format!("{key}-plain")).await?)
            }
            made => self.intent(made?),
        }
    }

    async fn find(&self, charge: &Charge) -> Result<Option<Intent>, GatewayError> {
        // Their clock may be behind ours.
        let since = charge.since.seconds() - 3600;
        let query = vec![("created[gte]", since.to_string())];
        let made: Vec<IntentObject> = self.all("/v1/payment_intents", query).await?;
        let ours = made.into_iter().find(|object| object.is_tagged(&charge.tag));
        ours.map(|object| self.intent(object)).transpose()
    }

    async fn fetch(&self, reference: &str) -> Result<Intent, GatewayError> {
        let path = format!("/v1/payment_intents/{}", safe(reference)?);
        self.intent(self.get(&path, &[(EXPAND.0, EXPAND.1.into())]).await?)
    }

    async fn capture(&self, reference: &str, key: &str) -> Result<Intent, GatewayError> {
        let path = format!("/v1/payment_intents/{}/capture", safe(reference)?);
        match self.post::<IntentObject>(&path, Form::new(), key).await {
            Ok(object) => self.intent(object),
            Err(GatewayError::Refused(_)) => self.fetch(reference).await,
            Err(error) => Err(error),
        }
    }

    async fn cancel(&self, reference: &str, key: &str) -> Result<Intent, GatewayError> {
        let path = format!("/v1/payment_intents/{}/cancel", safe(reference)?);
        match self.post::<IntentObject>(&path, Form::new(), key).await {
            // A refusal says that it is succeeded, processing or cancelled already. Either may be an old answer to
            // this key: the object says what is.
            Ok(_) | Err(GatewayError::Refused(_)) => self.fetch(reference).await,
            Err(error) => Err(error),
        }
    }

    async fn refund(&self, back: &Return) -> Result<Returned, GatewayError> {
        let units = to_stripe(back.amount).map_err(|said| GatewayError::refused("amount", said))?;
        let form = vec![
            ("payment_intent", back.of.clone()),
            ("amount", units.to_string()),
            ("metadata[till_refund]", back.tag.clone()),
            ("metadata[till_shop]", self.settings.shop.clone()),
        ];
        self.post::<RefundObject>("/v1/refunds", form, &back.key).await?.into_returned()
    }

    async fn refunds(&self, reference: &str) -> Result<Vec<Returned>, GatewayError> {
        let query = vec![("payment_intent", reference.to_owned())];
        let all: Vec<RefundObject> = self.all("/v1/refunds", query).await?;
        all.into_iter().map(RefundObject::into_returned).collect()
    }

    async fn hear(&self, headers: &HeaderMap, body: &Bytes, now: Time) -> Result<Heard, Unheard> {
        let secrets = &self.settings.webhook_secrets;
        if secrets.is_empty() {
            let said = "the setting payment.stripe.webhook_secret is not set, so no event can be believed";
            return Err(Unheard::Forged(said.into()));
        }
        let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
        let header = header.ok_or_else(|| Unheard::Forged("there is no Stripe-Signature".into()))?;
        if headers.get_all("stripe-signature").iter().count() > 1 {
            return Err(Unheard::Forged("there is more than one Stripe-Signature".into()));
        }
        signature::verify(header, body, secrets, now).map_err(|said| Unheard::Forged(said.into()))?;
        match serde_json::from_slice(body) {
            Ok(event) => Ok(self.notice(event)),
            // Signed by Stripe, so there is nothing wrong with it; but nothing that we know.
            Err(error) => Ok(Heard::Nothing(format!("it can't be read: {error}"))),
        }
    }

    async fn payment_of(&self, charge: &str) -> Result<Option<String>, GatewayError> {
        let object: objects::ChargeObject = self.get(&format!("/v1/charges/{}", safe(charge)?), &[]).await?;
        Ok(object.payment())
    }

    async fn dispute(&self, id: &str) -> Result<Disputed, GatewayError> {
        let object: DisputeObject = self.get(&format!("/v1/disputes/{}", safe(id)?), &[]).await?;
        object.into_disputed()
    }

    async fn missed(&self, first: Time, _: Time) -> Result<Vec<Notice>, GatewayError> {
        let mut query =
            vec![("delivery_success", "false".to_owned()), ("created[gte]", first.seconds().to_string())];
        query.extend(EVENTS.iter().map(|kind| ("types[]", (*kind).to_owned())));
        let events: Vec<EventObject> = self.all("/v1/events", query).await?;
        let heard = events.into_iter().rev().map(|event| self.notice(event));
        Ok(heard
            .filter_map(|heard| if let Heard::Notice(notice) = heard { Some(notice) } else { None })
            .collect())
    }

    async fn made(&self, since: Time, page: Option<&str>) -> Result<Made, GatewayError> {
        let query = vec![("created[gte]", since.seconds().to_string())];
        let list = self.page("/v1/payment_intents", query, page).await?;
        let next = list.next();
        // Other shops' payments may be in currencies that we do not know: none of ours.
        let intents = list.read().filter_map(|object| self.intent(object).ok()).collect();
        Ok(Made { intents, next })
    }

    async fn refunded(&self, since: Time) -> Result<Vec<String>, GatewayError> {
        let query = vec![("created[gte]", since.seconds().to_string())];
        let all: Vec<RefundObject> = self.all("/v1/refunds", query).await?;
        Ok(all.into_iter().filter_map(|refund| refund.payment()).collect())
    }

    async fn examine(&self, shop_url: Option<&str>, now: Time) -> Vec<Advice> {
        self.look_over(shop_url, now).await
    }
}

/// An id that goes into a path as it is.
fn safe(id: &str) -> Result<&str, GatewayError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.is_empty() && id.bytes().all(plain) { Ok(id) } else { Err(GatewayError::Gone(id.to_owned())) }
}
