//! PayPal's REST API: Orders v2, Payments v2, webhooks.
//! <https://developer.paypal.com/docs/api/orders/v2/>

mod certificate;
mod examine;
mod objects;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json, value::RawValue};

pub use self::certificate::Trust;
use self::certificate::{Certificates, Transmission};
use self::objects::{
    CaptureObject, ErrorBody, EventList, EventObject, OrderObject, RefundObject, TokenObject,
};
use super::amount::to_paypal;
use super::wire::{Wire, call, read, unmakeable};
use super::{Charge, Gateway, GatewayError, Heard, Intent, Mode, Notice, Return, Returned, Tag, Unheard};
use crate::advice::Advice;
use crate::clock::{Clock, Time};
use crate::config::Secret;
use crate::money::Money;
use crate::payments::lifecycle::Status;

/// Its name.
pub const PROVIDER: &str = "paypal";
/// An access token is renewed so long before it runs out.
const TOKEN_MARGIN: Duration = Duration::from_secs(120);
/// Most characters of a description or a name.
const TEXT: usize = 127;
/// Most pages of events that are read at once.
const PAGES: usize = 200;

/// What the settings say about PayPal.
#[derive(Clone)]
pub struct Settings {
    pub client_id: String,
    pub client_secret: Secret,
    /// The id that PayPal gave to the shop's webhook; it is part of what is signed.
    pub webhook_id: String,
    /// Without a slash at its end.
    pub api_base: String,
    /// Whose certificates are looked at.
    pub cert_hosts: Vec<String>,
    /// Where PayPal sends the buyer back to.
    pub return_url: Option<String>,
}

pub struct PayPal {
    settings: Settings,
    wire: Arc<dyn Wire>,
    clock: Arc<dyn Clock>,
    certificates: Certificates,
    /// The access token, and until when it is used.
    token: Mutex<Option<(String, Time)>>,
}

/// What a request brings beside its path.
#[derive(Default)]
struct Sent<'a> {
    /// JSON.
    body: String,
    /// `PayPal-Request-Id`
    key: Option<&'a str>,
}

/// The body that asks PayPal whether an event is its own.
#[derive(Serialize)]
struct Vouch<'a> {
    auth_algo: &'a str,
    cert_url: &'a str,
    transmission_id: &'a str,
    transmission_sig: &'a str,
    transmission_time: &'a str,
    webhook_id: &'a str,
    webhook_event: &'a RawValue,
}

impl PayPal {
    pub fn new(settings: Settings, wire: Arc<dyn Wire>, clock: Arc<dyn Clock>, trust: Trust) -> PayPal {
        let certificates = Certificates::new(settings.cert_hosts.clone(), trust);
        PayPal { settings, wire, clock, certificates, token: Mutex::new(None) }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, GatewayError> {
        self.ask(Method::GET, path, Sent::default()).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: Value, key: &str) -> Result<T, GatewayError> {
        self.ask(Method::POST, path, Sent { body: body.to_string(), key: Some(key) }).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        sent: Sent<'_>,
    ) -> Result<T, GatewayError> {
        let body = sent.body.as_bytes();
        let mut answer = self.send(&method, path, sent.key, body, self.token().await?).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // The token may have been withdrawn before its time: once more, with a new one.
            self.drop_token();
            answer = self.send(&method, path, sent.key, body, self.token().await?).await?;
        }
        if answer.status().is_success() {
            return read(answer.body());
        }
        Err(refusal(answer.status(), answer.body()))
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        key: Option<&str>,
        body: &[u8],
        token: String,
    ) -> Result<Response<Bytes>, GatewayError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.settings.api_base))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header("prefer", "return=representation");
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header("paypal-request-id", key);
        }
        call(&*self.wire, request.body(body.to_vec()).map_err(|error| unmakeable(&error))?).await
    }

    /// <https://developer.paypal.com/api/rest/authentication/>
    async fn token(&self) -> Result<String, GatewayError> {
        let now = self.clock.now();
        let held = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((token, _)) = held.filter(|(_, until)| now < *until) {
            return Ok(token);
        }
        let Settings { client_id, client_secret, api_base, .. } = &self.settings;
        let basic = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            format!("{client_id}:{}", client_secret.reveal()),
        );
        let request = Request::post(format!("{api_base}/v1/oauth2/token"))
            .header(header::AUTHORIZATION, format!("Basic {basic}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(b"grant_type=client_credentials".to_vec());
        let answer = call(&*self.wire, request.map_err(|error| unmakeable(&error))?).await?;
        if !answer.status().is_success() {
            let said = "payment.paypal.client_id and client_secret are not what PayPal knows";
            return Err(GatewayError::Denied(format!("{said} (it answered {})", answer.status())));
        }
        let new: TokenObject = read(answer.body())?;
        let lasts = Duration::from_secs(new.expires_in).saturating_sub(TOKEN_MARGIN);
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some((new.access_token.clone(), now.plus(lasts)));
        Ok(new.access_token)
    }

    fn drop_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Reads an order, or fetches it where its answer was the short form.
    async fn whole(&self, order: OrderObject) -> Result<Intent, GatewayError> {
        if order.is_minimal() { self.fetch(order.id()).await } else { order.into_intent() }
    }

    async fn order(&self, reference: &str) -> Result<OrderObject, GatewayError> {
        self.get(&format!("/v2/checkout/orders/{}", safe(reference)?)).await
    }

    /// Asks PayPal itself whether an event is its own: where its certificate can't be looked at.
    /// <https://developer.paypal.com/docs/api/webhooks/v1/#verify-webhook-signature_post>
    async fn vouched(&self, sent: &Transmission, body: &Bytes) -> Result<(), Unheard> {
        let forged = |said: &str| Unheard::Forged(said.to_owned());
        let text = std::str::from_utf8(body).map_err(|_| forged("the body is no UTF-8"))?;
        // As it came, every blank of it: the signature is over these bytes.
        let asked = Vouch {
            auth_algo: &sent.algorithm,
            cert_url: &sent.certificate,
            transmission_id: &sent.id,
            transmission_sig: &sent.signature,
            transmission_time: &sent.time,
            webhook_id: &self.settings.webhook_id,
            webhook_event: serde_json::from_str(text).map_err(|_| forged("the body is no JSON"))?,
        };
        let body = serde_json::to_string(&asked).map_err(|error| Unheard::Unverified(error.to_string()))?;
        let path = "/v1/notifications/verify-webhook-signature";
        match self.ask::<Value>(Method::POST, path, Sent { body, key: None }).await {
            Ok(said) if said["verification_status"] == "SUCCESS" => Ok(()),
            Ok(_) => Err(forged("PayPal says that it is not its own")),
            Err(GatewayError::Refused(told)) => Err(Unheard::Forged(told.message)),
            Err(error) => Err(Unheard::Unverified(error.to_string())),
        }
    }
}

/// What a 4xx means.
fn refusal(status: StatusCode, body: &[u8]) -> GatewayError {
    let Ok(error) = read::<ErrorBody>(body) else {
        return GatewayError::Failed(format!("it answered {status}"));
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => GatewayError::Denied(error.message),
        StatusCode::NOT_FOUND => GatewayError::Gone(error.message),
        _ => GatewayError::Refused(error.told()),
    }
}

/// At most so many characters as PayPal takes.
fn clipped(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

/// An id that goes into a path as it is.
fn safe(id: &str) -> Result<&str, GatewayError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !id.is_empty() && id.bytes().all(plain) { Ok(id) } else { Err(GatewayError::Gone(id.to_owned())) }
}

/// What is written on PayPal's order: `till.SHOP.NONCE.ORDER`.
fn custom_id(tag: &Tag) -> String {
    let order = tag.order.map_or_else(String::new, |order| order.to_string());
    format!("till.{}.{}.{order}", tag.shop, tag.payment)
}

#[async_trait]
impl Gateway for PayPal {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    /// By where the API is.
    fn mode(&self) -> Mode {
        let base: Option<http::Uri> = self.settings.api_base.parse().ok();
        let host = base.as_ref().and_then(http::Uri::host).unwrap_or_default().to_ascii_lowercase();
        if host.ends_with(".paypal.com") && !host.contains("sandbox") { Mode::Live } else { Mode::Test }
    }

    fn cancels(&self) -> bool {
        false
    }

    fn takes(&self, amount: Money) -> Result<(), String> {
        to_paypal(amount).map(drop)
    }

    async fn create(&self, charge: &Charge) -> Result<Intent, GatewayError> {
        let value = to_paypal(charge.amount).map_err(|said| GatewayError::refused("amount", said))?;
        let mut context = json!({
            "brand_name": clipped(&charge.shop_name),
            "shipping_preference": "NO_SHIPPING",
            "user_action": "PAY_NOW",
        });
        if let Some(url) = &self.settings.return_url {
            context["return_url"] = url.as_str().into();
            context["cancel_url"] = url.as_str().into();
        }
        let order = charge.tag.order.map_or_else(String::new, |order| format!("{order}-"));
        let body = json!({
            "intent": "CAPTURE",
            "purchase_units": [{
                "amount": {"currency_code": charge.amount.currency, "value": value},
                "custom_id": custom_id(&charge.tag),
                "invoice_id": format!("{order}{}", charge.tag.payment),
                "description": clipped(&charge.description),
            }],
            "payment_source": {"paypal": {"experience_context": context}},
        });
        let key = format!("{}-create", charge.key);
        self.whole(self.post("/v2/checkout/orders", body, &key).await?).await
    }

    async fn fetch(&self, reference: &str) -> Result<Intent, GatewayError> {
        self.order(reference).await?.into_intent()
    }

    async fn capture(&self, reference: &str, key: &str) -> Result<Intent, GatewayError> {
        let path = format!("/v2/checkout/orders/{}/capture", safe(reference)?);
        match self.post::<OrderObject>(&path, json!({}), key).await {
            Ok(order) => self.whole(order).await,
            // Another capture of this order is running there; what comes of it is found out later.
            Err(GatewayError::Refused(told)) if told.code == "ORDER_COMPLETION_IN_PROGRESS" => {
                Err(GatewayError::Failed("it is busy with this capture".into()))
            }
            // Not captured: the buyer's means of payment was refused, or their approval is gone; or captured before.
            Err(GatewayError::Refused(told)) => {
                let mut intent = self.fetch(reference).await?;
                if intent.captured.is_zero() && intent.status != Status::Processing {
                    intent.status = Status::RequiresPayment;
                    intent.is_approved = false;
                    intent.declined = Some(objects::declined(&told));
                }
                Ok(intent)
            }
            Err(error) => Err(error),
        }
    }

    /// There is no cancelling: an order whose money is not taken runs out by itself.
    async fn cancel(&self, reference: &str, _key: &str) -> Result<Intent, GatewayError> {
        self.fetch(reference).await
    }

    async fn refund(&self, back: &Return) -> Result<Returned, GatewayError> {
        let value = to_paypal(back.amount).map_err(|said| GatewayError::refused("amount", said))?;
        let capture = self.fetch(&back.of).await?.charge;
        let capture = capture.ok_or_else(|| GatewayError::refused("NO_CAPTURE", "There is no capture."))?;
        let path = format!("/v2/payments/captures/{}/refund", safe(&capture)?);
        let body = json!({
            "amount": {"currency_code": back.amount.currency, "value": value},
            "custom_id": back.tag,
        });
        self.post::<RefundObject>(&path, body, &back.key).await?.into_returned()
    }

    async fn refunds(&self, reference: &str) -> Result<Vec<Returned>, GatewayError> {
        self.order(reference).await?.into_refunds()
    }

    async fn hear(&self, headers: &HeaderMap, body: &Bytes, now: Time) -> Result<Heard, Unheard> {
        if self.settings.webhook_id.is_empty() {
            let said = "the setting payment.paypal.webhook_id is not set, so no event can be believed";
            return Err(Unheard::Forged(said.into()));
        }
        let sent = Transmission::read(headers)?;
        match self.certificates.verify(&*self.wire, &sent, &self.settings.webhook_id, body, now).await {
            Ok(()) => {}
            Err(Unheard::Unverified(said)) => {
                tracing::info!(said, "a PayPal certificate can't be looked at; PayPal itself is asked");
                self.vouched(&sent, body).await?;
            }
            Err(forged) => return Err(forged),
        }
        let event: EventObject = match serde_json::from_slice(body) {
            Ok(event) => event,
            Err(error) => return Ok(Heard::Nothing(format!("it can't be read: {error}"))),
        };
        Ok(match event.into_notice() {
            Some(notice) => Heard::Notice(notice),
            None => Heard::Nothing("till does not go by events of its type".into()),
        })
    }

    async fn payment_of(&self, charge: &str) -> Result<Option<String>, GatewayError> {
        let capture: CaptureObject = self.get(&format!("/v2/payments/captures/{}", safe(charge)?)).await?;
        Ok(capture.order())
    }

    async fn missed(&self, _: Time, last: Time) -> Result<Vec<Notice>, GatewayError> {
        let (from, to) = (last.to_string(), self.clock.now().to_string());
        let mut path = format!(
            "/v1/notifications/webhooks-events?page_size=100&start_time={}&end_time={}",
            objects::encoded(&from),
            objects::encoded(&to)
        );
        let mut notices = Vec::new();
        for _ in 0..PAGES {
            let page: EventList = self.get(&path).await?;
            let next = page.next();
            notices.extend(page.events.into_iter().filter_map(EventObject::into_notice));
            match next {
                Some(next) => path = next,
                None => break,
            }
        }
        Ok(notices)
    }

    async fn examine(&self, shop_url: Option<&str>, _: Time) -> Vec<Advice> {
        self.look_over(shop_url).await
    }
}
