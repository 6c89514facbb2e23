//! Requests and answers as they travel, and PayPal's words when it refuses.

use http::{Request, Response};
use serde_json::{Value, json};

/// A call that was let in.
pub struct Call<'a> {
    pub now: i64,
    pub path: &'a str,
    pub query: &'a str,
    pub request_id: &'a str,
    /// `Prefer: return=representation`: the whole object is wanted, not just its id, status and links.
    pub whole: bool,
    pub body: &'a [u8],
    pub json: Value,
}

impl<'a> Call<'a> {
    pub fn read(now: i64, request: &'a Request<Vec<u8>>) -> Self {
        Call {
            now,
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            request_id: header(request, "paypal-request-id"),
            whole: header(request, "prefer") == "return=representation",
            body: request.body(),
            json: serde_json::from_slice(request.body()).unwrap_or_default(),
        }
    }
}

/// A header's text; empty when it is not there.
pub fn header<'a>(request: &'a Request<Vec<u8>>, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub type Answer = Result<(u16, Value), Refusal>;

/// A refusal with one of PayPal's issues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub issue: &'static str,
    description: &'static str,
    field: Option<String>,
    /// Where the buyer can set it right.
    redirect: Option<String>,
}

pub fn refusal(issue: &'static str) -> Refusal {
    Refusal { issue, description: description(issue), field: None, redirect: None }
}

impl Refusal {
    pub fn saying(self, description: &'static str) -> Self {
        Refusal { description, ..self }
    }

    pub fn at(self, field: &str) -> Self {
        Refusal { field: Some(field.to_owned()), ..self }
    }

    pub fn redirecting(self, link: String) -> Self {
        Refusal { redirect: Some(link), ..self }
    }

    pub fn status(&self) -> u16 {
        match self.issue {
            "INVALID_TOKEN" => 401,
            "INVALID_RESOURCE_ID" => 404,
            "INVALID_PARAMETER_SYNTAX" => 400,
            _ => 422,
        }
    }

    pub fn json(&self, debug_id: &str) -> Value {
        if self.issue == "INVALID_TOKEN" {
            return json!({ "error": "invalid_token", "error_description": self.description });
        }
        let mut error = error(self.status(), debug_id);
        error["details"] = json!([{ "issue": self.issue, "description": self.description }]);
        if let Some(field) = &self.field {
            error["details"][0]["field"] = json!(field);
        }
        let about =
            format!("https://developer.paypal.com/api/rest/reference/orders/v2/errors/#{}", self.issue);
        let mut links = vec![link(&about, "information_link", "GET")];
        links.extend(self.redirect.iter().map(|href| link(href, "redirect", "GET")));
        error["links"] = links.into();
        error
    }
}

/// The error body that goes with a status, without details.
pub fn error(status: u16, debug_id: &str) -> Value {
    let (name, message) = match status {
        400 => {
            ("INVALID_REQUEST", "Request is not well-formed, syntactically incorrect, or violates schema.")
        }
        401 => (
            "AUTHENTICATION_FAILURE",
            "Authentication failed due to missing authorization header, or invalid authentication credentials.",
        ),
        403 => ("NOT_AUTHORIZED", "Authorization failed due to insufficient permissions."),
        404 => ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
        409 => ("RESOURCE_CONFLICT", "The server has detected a conflict while processing this request."),
        422 => (
            "UNPROCESSABLE_ENTITY",
            "The requested action could not be performed, semantically incorrect, or failed business validation.",
        ),
        429 => ("RATE_LIMIT_REACHED", "Too many requests. Blocked due to rate limiting."),
        503 => ("SERVICE_UNAVAILABLE", "Service Unavailable."),
        _ => ("INTERNAL_SERVER_ERROR", "An internal server error occurred."),
    };
    json!({ "name": name, "message": message, "debug_id": debug_id, "details": [], "links": [] })
}

fn description(issue: &str) -> &'static str {
    match issue {
        "INVALID_TOKEN" => "Token signature verification failed",
        "INVALID_RESOURCE_ID" => {
            "Specified resource ID does not exist. Please check the resource ID and try again."
        }
        "INVALID_PARAMETER_SYNTAX" => "The value of a field does not conform to the expected format.",
        "INVALID_CURRENCY_CODE" => {
            "Currency code is invalid or is not currently supported. Please refer https://developer.paypal.com/api/rest/reference/currency-codes/ for list of supported currency codes."
        }
        "DECIMAL_PRECISION" => {
            "If the currency supports decimals, only two decimal place precision is supported."
        }
        "DECIMALS_NOT_SUPPORTED" => "Currency does not support decimals.",
        "CANNOT_BE_ZERO_OR_NEGATIVE" => {
            "Must be greater than zero. If the currency supports decimals, only two decimal place precision is supported."
        }
        "AMOUNT_MISMATCH" => {
            "Should equal item_total + tax_total + shipping + handling + insurance - shipping_discount - discount."
        }
        "ORDER_NOT_APPROVED" => {
            "Payer has not yet approved the Order for payment. Please redirect the payer to the 'rel':'approve' url returned as part of the HATEOAS links within the Create Order call or provide a valid `payment_source` in the request."
        }
        "ORDER_ALREADY_CAPTURED" => {
            "Order already captured.If 'intent=CAPTURE' only one capture per order is allowed."
        }
        "INSTRUMENT_DECLINED" => {
            "The instrument presented  was either declined by the processor or bank, or it can't be used for this payment."
        }
        "DUPLICATE_INVOICE_ID" => {
            "Duplicate Invoice ID detected. To avoid a potential duplicate transaction your account setting requires that Invoice Id be unique for each transaction."
        }
        "PENDING_CAPTURE" => {
            "Cannot initiate a refund as the capture is pending. Capture is typically pending when the payer has funded the transaction using e-check/bank funded."
        }
        "REFUND_NOT_ALLOWED" => "Capture cannot be refunded.",
        "TRANSACTION_DISPUTED" => {
            "Partial refunds cannot be offered at this time because there is an open case on this transaction. Visit the PayPal Resolution Center to review this case."
        }
        "CAPTURE_FULLY_REFUNDED" => "The capture has already been fully refunded",
        "REFUND_CAPTURE_CURRENCY_MISMATCH" => "Refund must be in the same currency as the capture",
        "REFUND_AMOUNT_EXCEEDED" => {
            "The refund amount must be less than or equal to the capture amount that has not yet been refunded."
        }
        other => unreachable!("nobody refuses with {other}"),
    }
}

pub fn link(href: &str, rel: &str, method: &str) -> Value {
    json!({ "href": href, "rel": rel, "method": method })
}

pub fn respond(status: u16, content_type: &str, body: Vec<u8>) -> Response<Vec<u8>> {
    let response = Response::builder().status(status).header("content-type", content_type);
    response.body(body).expect("a status and a plain header")
}
