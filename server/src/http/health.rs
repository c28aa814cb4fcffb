//! Is it alive, is it ready, how is it doing? And `/metrics`.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::problem::Problem;
use super::state::AppState;
use crate::service::{Readiness, ServiceError};

/// How the server is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    status: HealthStatus,
    /// Of this program.
    version: &'static str,
    /// Net and index that answer searches.
    generation: String,
    /// Searchable items.
    items: usize,
    /// Pictures that wait for the embedder now.
    queued: i64,
}

/// One word for a dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HealthStatus {
    /// Reads and writes are served.
    Ok,
    /// The disk refused a write: reads are served, writes fail. Needs an operator.
    WritesFail,
    /// Finishing what is open.
    Stopping,
}

/// How the server is doing
///
/// 200 as long as the server can answer at all; `status` tells more.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses((status = 200, description = "Alive", body = Health))
)]
pub(super) async fn healthz(state: web::Data<AppState>) -> web::Json<Health> {
    let generation = state.service.generation();
    let status = match state.service.readiness() {
        Readiness::Ready => HealthStatus::Ok,
        Readiness::WritesFail => HealthStatus::WritesFail,
        Readiness::Stopping => HealthStatus::Stopping,
    };
    web::Json(Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        generation: generation.id.to_owned(),
        items: generation.index.len(),
        queued: state.metrics.embed_queue_depth.get(),
    })
}

/// Is the process alive?
///
/// For a supervisor that restarts it: answers as long as requests are handled at all.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "operation",
    responses((status = 200, description = "Alive", body = String))
)]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Should it get requests?
///
/// For a load balancer: 503 while stopping. A full queue is no reason: that is what 429 is for.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "Ready", body = String),
        (status = 503, description = "Not ready; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn readyz(state: web::Data<AppState>) -> Result<&'static str, ApiError> {
    match state.service.readiness() {
        // Searches are better than nothing; /healthz tells the operator.
        Readiness::Ready | Readiness::WritesFail => Ok("ok\n"),
        Readiness::Stopping => Err(ServiceError::NotReady.into()),
    }
}

/// Numbers for Prometheus
///
/// Text format 0.0.4; every name begins with `holdfast_`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain; version=0.0.4"))
)]
pub(super) async fn metrics(state: web::Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(state.metrics.render())
}
