//! What can go wrong, as a client sees it: one cause, one status, one code.
//!
//! | status | `code` | when |
//! |---|---|---|
//! | 400 | `invalid_request` | JSON, parameters, vectors, ids or forms that break a rule |
//! | 404 | `not_found` | no such item, no such route |
//! | 405 | `invalid_request` | the route exists, the method does not |
//! | 409 | `conflict` | the state of the server forbids it |
//! | 413 | `image_too_large` | too many bytes or pixels, in the header or in the body |
//! | 415 | `unsupported_image` | neither a picture that can be read, whole and undamaged, nor one of the wire forms |
//! | 429 | `overloaded` | a queue is full; `Retry-After` says when to come back |
//! | 500 | `internal` | our fault; the cause is in the log under the request id, and only there |
//! | 507 | `quota_exceeded` | the disk is full: reads go on, and writes when there is room again |
//! | 503 | `not_ready` | starting or stopping; with `Retry-After` |

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use super::problem::{Code, FieldProblem, Outline};
use crate::service::ServiceError;

/// How long a client is asked to wait when the server cannot know better.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Everything a handler can fail with.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// What the service answered.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The request breaks a rule of the wire format.
    #[error("{detail}")]
    Invalid {
        /// Where in the JSON body, if there.
        pointer: Option<String>,
        /// The rule and what was found.
        detail: String,
    },
    /// The body is longer than configured.
    #[error("the body is larger than the {max_bytes} bytes that are accepted here")]
    BodyTooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// The body is in a form that the route does not read.
    #[error("the content type is {found}; accepted: {accepted}")]
    ContentType {
        /// What the header says.
        found: String,
        /// What it may say.
        accepted: &'static str,
    },
    /// Nothing is served under this path.
    #[error("there is no such route; see /docs for those that exist")]
    NoSuchRoute,
    /// The path exists with other methods.
    #[error("the method is not allowed here; allowed: {allowed}")]
    MethodNotAllowed {
        /// The methods, as the header `Allow` wants them.
        allowed: &'static str,
    },
    /// More requests are under way than configured.
    #[error("too many requests are under way; try again shortly")]
    TooManyInFlight,
    /// A stored picture can no longer be read.
    #[error("a stored picture cannot be used: {0}")]
    StoredPicture(String),
    /// The thread that worked on the request is gone.
    #[error("the request was interrupted")]
    Interrupted,
}

impl ApiError {
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        ApiError::Invalid { pointer: None, detail: detail.into() }
    }

    pub(super) fn invalid_at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        ApiError::Invalid { pointer: Some(pointer.into()), detail: detail.into() }
    }

    /// The same error, in a value that stands at `pointer` of the request.
    pub(super) fn within(self, pointer: &str) -> Self {
        match self {
            ApiError::Invalid { pointer: inner, detail } => {
                ApiError::Invalid { pointer: Some(format!("{pointer}{}", inner.unwrap_or_default())), detail }
            }
            other => other,
        }
    }

    pub(super) fn content_type(found: Option<&str>, accepted: &'static str) -> Self {
        ApiError::ContentType { found: found.map_or("missing".to_owned(), |found| format!("\"{found}\"")), accepted }
    }

    /// What the client is told.
    pub(super) fn outline(&self) -> Outline {
        let told = |status, code| Outline::new(status, code, self.to_string());
        match self {
            ApiError::Service(error) => service_outline(error),
            ApiError::Invalid { pointer, detail } => {
                let mut outline = told(StatusCode::BAD_REQUEST, Code::InvalidRequest);
                outline.errors.extend(
                    pointer.as_ref().map(|pointer| FieldProblem { pointer: pointer.clone(), detail: detail.clone() }),
                );
                outline
            }
            ApiError::BodyTooLarge { .. } => told(StatusCode::PAYLOAD_TOO_LARGE, Code::ImageTooLarge),
            ApiError::ContentType { .. } => told(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedImage),
            ApiError::NoSuchRoute => told(StatusCode::NOT_FOUND, Code::NotFound),
            ApiError::MethodNotAllowed { allowed } => {
                Outline { allow: Some(allowed), ..told(StatusCode::METHOD_NOT_ALLOWED, Code::InvalidRequest) }
            }
            ApiError::TooManyInFlight => told(StatusCode::TOO_MANY_REQUESTS, Code::Overloaded).retry_after(RETRY_AFTER),
            ApiError::StoredPicture(_) | ApiError::Interrupted => Outline::internal(),
        }
    }

    /// The label of `image_rejected_total`, if it was a picture that was refused.
    pub(super) fn rejected_picture(&self) -> Option<&'static str> {
        match self {
            ApiError::Service(ServiceError::UnsupportedImage { .. } | ServiceError::ImageTooLarge { .. }) => {
                Some(self.outline().code.name())
            }
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self.outline().code, Code::Overloaded | Code::NotReady | Code::QuotaExceeded)
    }
}

fn service_outline(error: &ServiceError) -> Outline {
    let told = |status, code| Outline::new(status, code, error.to_string());
    match error {
        ServiceError::InvalidRequest { .. } => told(StatusCode::BAD_REQUEST, Code::InvalidRequest),
        ServiceError::UnsupportedImage { .. } => told(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedImage),
        ServiceError::ImageTooLarge { .. } => told(StatusCode::PAYLOAD_TOO_LARGE, Code::ImageTooLarge),
        ServiceError::NotFound { .. } | ServiceError::NoSnapshot { .. } => told(StatusCode::NOT_FOUND, Code::NotFound),
        ServiceError::Conflict { .. } => told(StatusCode::CONFLICT, Code::Conflict),
        ServiceError::Overloaded { retry_after } => {
            told(StatusCode::TOO_MANY_REQUESTS, Code::Overloaded).retry_after(*retry_after)
        }
        ServiceError::DiskFull { .. } => told(StatusCode::INSUFFICIENT_STORAGE, Code::QuotaExceeded),
        ServiceError::NotReady => told(StatusCode::SERVICE_UNAVAILABLE, Code::NotReady).retry_after(RETRY_AFTER),
        ServiceError::Internal(_) => Outline::internal(),
    }
}

/// An error and what caused it, for the log.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.outline().status
    }

    /// The status alone; [`super::observe`] writes the body, because it knows the request.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}
