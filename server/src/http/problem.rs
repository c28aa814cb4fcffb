//! The body of every error: `application/problem+json`, RFC 9457.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of [`Problem`].
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// What kind of problem it is; stable across versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Code {
    /// A rule of the request is broken.
    InvalidRequest,
    /// The picture cannot be read.
    UnsupportedImage,
    /// The picture or the body is larger than allowed.
    ImageTooLarge,
    /// There is no such thing.
    NotFound,
    /// The state of the server forbids it.
    Conflict,
    /// Too much at once; come back later.
    Overloaded,
    /// Starting or stopping.
    NotReady,
    /// There is no room for it.
    QuotaExceeded,
    /// A fault of the server.
    Internal,
}

impl Code {
    /// The code as it stands in JSON and in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Code::InvalidRequest => "invalid_request",
            Code::UnsupportedImage => "unsupported_image",
            Code::ImageTooLarge => "image_too_large",
            Code::NotFound => "not_found",
            Code::Conflict => "conflict",
            Code::Overloaded => "overloaded",
            Code::NotReady => "not_ready",
            Code::QuotaExceeded => "quota_exceeded",
            Code::Internal => "internal",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Code::InvalidRequest => "The request is not valid",
            Code::UnsupportedImage => "The picture cannot be read",
            Code::ImageTooLarge => "The picture is too large",
            Code::NotFound => "Not found",
            Code::Conflict => "Not possible now",
            Code::Overloaded => "Too many requests",
            Code::NotReady => "Not ready",
            Code::QuotaExceeded => "No room left",
            Code::Internal => "Internal error",
        }
    }
}

/// One field of a request and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct FieldProblem {
    /// JSON pointer (RFC 6901) into the body.
    pub(super) pointer: String,
    /// What is wrong there.
    pub(super) detail: String,
}

/// An error as a client sees it (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Identifies the kind of problem: `urn:holdfast:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened to this request, and what to do.
    detail: String,
    /// Path of the request.
    instance: String,
    code: Code,
    /// Find the log lines of this request by it.
    request_id: String,
    /// The fields at fault, where they are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
}

/// A problem before it is known which request had it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outline {
    pub(super) status: StatusCode,
    pub(super) code: Code,
    pub(super) detail: String,
    pub(super) errors: Vec<FieldProblem>,
    /// Sent as `Retry-After`, in whole seconds, at least one.
    pub(super) retry_after: Option<Duration>,
    /// Sent as `Allow`.
    pub(super) allow: Option<&'static str>,
}

impl Outline {
    pub(super) fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        Outline { status, code, detail: detail.into(), errors: Vec::new(), retry_after: None, allow: None }
    }

    /// Tells nothing: the cause is logged.
    pub(super) fn internal() -> Self {
        let detail = "the server made a mistake; its log tells more under this request id";
        Outline::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, detail)
    }

    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Outline { retry_after: Some(wait), ..self }
    }

    /// The outline of an error that did not come from a handler, such as a parameter that actix could not parse.
    pub(super) fn of_status(status: StatusCode, detail: Option<String>) -> Self {
        let code = match status.as_u16() {
            404 => Code::NotFound,
            413 => Code::ImageTooLarge,
            415 => Code::UnsupportedImage,
            429 => Code::Overloaded,
            503 => Code::NotReady,
            400..500 => Code::InvalidRequest,
            _ => return Outline::internal(),
        };
        let detail = detail.unwrap_or_else(|| status.canonical_reason().unwrap_or_default().to_lowercase());
        Outline::new(status, code, detail)
    }

    /// The response for the request with this path and id.
    pub(super) fn into_response(self, instance: &str, request_id: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(wait) = self.retry_after {
            response.insert_header((RETRY_AFTER, wait.as_secs_f64().ceil().max(1.0).to_string()));
        }
        if let Some(methods) = self.allow {
            response.insert_header((ALLOW, methods));
        }
        response.content_type(PROBLEM_JSON).json(Problem {
            kind: format!("urn:holdfast:problem:{}", self.code.name()),
            title: self.code.title(),
            status: self.status.as_u16(),
            detail: self.detail,
            instance: instance.to_owned(),
            code: self.code,
            request_id: request_id.to_owned(),
            errors: self.errors,
        })
    }
}
