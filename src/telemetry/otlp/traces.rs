//! Spans as OTLP's messages.

use opentelemetry_proto::tonic::trace::v1 as proto;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::{attribute, nanos};
use crate::telemetry::trace::{Kind, Span};

/// The W3C flag of a trace that is kept.
const SAMPLED: u32 = 1;

pub fn message(span: Span) -> proto::Span {
    let kind = match span.kind {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Internal => SpanKind::Internal,
    };
    let code = if span.is_error { StatusCode::Error } else { StatusCode::Unset };
    proto::Span {
        trace_id: span.trace.to_vec(),
        span_id: span.id.to_vec(),
        parent_span_id: span.parent.map(Vec::from).unwrap_or_default(),
        flags: SAMPLED,
        name: span.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(span.began),
        end_time_unix_nano: nanos(span.began + span.took),
        attributes: span.attributes.into_iter().map(|(name, value)| attribute(name, value)).collect(),
        status: Some(proto::Status { code: code.into(), ..proto::Status::default() }),
        ..proto::Span::default()
    }
}
