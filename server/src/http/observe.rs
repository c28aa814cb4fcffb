//! Around every request: its id, its problem body, its metrics and its log line.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use tracing::{debug, error, info};
use uuid::Uuid;

use super::error::{ApiError, causes};
use super::problem::{Outline, PROBLEM_JSON};
use super::state::AppState;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The outermost layer of the application.
pub(super) async fn observe<B: MessageBody + 'static>(
    state: web::Data<AppState>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let request_id = request_id(request.headers());
    let seen = Seen {
        // A pattern, never the path: paths hold ids, and a label must be one of few.
        route: request.match_pattern().unwrap_or_else(|| "unmatched".to_owned()),
        method: method_label(request.method()),
        path: request.path().to_owned(),
        request_id,
    };
    let response = next.call(request).await?.map_into_boxed_body();
    let mut response = with_problem_body(response, &state, &seen);
    let value = HeaderValue::from_str(&seen.request_id).expect("request ids are printable ASCII. This is a bug.");
    response.headers_mut().insert(X_REQUEST_ID, value);
    record(&state, &seen, response.status().as_u16(), started);
    Ok(response)
}

/// What is known of a request before it is answered.
struct Seen {
    route: String,
    method: &'static str,
    path: String,
    request_id: String,
}

/// Gives an error response its body; other responses pass untouched.
fn with_problem_body(response: ServiceResponse<BoxBody>, state: &AppState, seen: &Seen) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == PROBLEM_JSON);
    if !(status.is_client_error() || status.is_server_error()) || is_problem {
        return response;
    }
    let cause = response.response().error();
    let (outline, cause) = match cause.and_then(|cause| cause.as_error::<ApiError>()) {
        Some(known) => {
            state.count_rejected_picture(known);
            (known.outline(), causes(known))
        }
        None => {
            let cause = cause.map(ToString::to_string);
            (Outline::of_status(status, cause.clone()), cause.unwrap_or_default())
        }
    };
    if outline.status.is_server_error() {
        error!(request_id = seen.request_id, route = seen.route, cause, "request failed");
    }
    state.metrics.rejected_total.with_label_values(&[outline.code.name()]).inc();
    let problem = outline.into_response(&seen.path, &seen.request_id);
    response.into_response(problem)
}

fn record(state: &AppState, seen: &Seen, status: u16, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let Seen { route, method, request_id, .. } = seen;
    let metrics = &state.metrics;
    metrics.http_requests_total.with_label_values(&[route.as_str(), method, &status.to_string()]).inc();
    metrics.http_request_duration_seconds.with_label_values(&[route]).observe(seconds);
    if status < 400 {
        debug!(request_id, route, method, status, seconds, "request");
    } else {
        info!(request_id, route, method, status, seconds, "request refused");
    }
}

/// The id that the client sent, if it is one, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    let sent = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
    match sent {
        Some(id) if (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.bytes().all(allowed) => id.to_owned(),
        _ => Uuid::new_v4().to_string(),
    }
}

/// A label must be one of few, and a client may invent methods.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_id(id: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
        headers
    }

    #[test]
    fn a_request_id_is_kept_only_if_it_cannot_disturb_a_log() {
        assert_eq!(request_id(&with_id("client-7:a.b_c")), "client-7:a.b_c");
        for odd in ["", "two words", "a\"b", "é"] {
            assert_ne!(request_id(&with_id(odd)), odd);
        }
        let long = "x".repeat(129);
        assert_ne!(request_id(&with_id(&long)), long);
    }

    #[test]
    fn requests_without_an_id_get_different_ones() {
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
