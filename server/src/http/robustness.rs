//! `/v1/robustness`: what the monitor found.

use actix_web::web;

use super::state::AppState;
use crate::service::monitor::{RobustnessView, WindowHistory};

/// The newest robustness results
///
/// What the server measured by attacking its own live model: R@1 clean and under attack, a score for each attack, how
/// far embeddings and ranks move, and what the monitor is doing now.
#[utoipa::path(
    get,
    path = "/v1/robustness",
    tag = "robustness",
    responses((status = 200, description = "The newest results", body = RobustnessView))
)]
pub(super) async fn latest(state: web::Data<AppState>) -> web::Json<RobustnessView> {
    web::Json(state.monitor.latest())
}

/// The history of robustness results
///
/// Complete windows, oldest first. They are kept in memory: a restart begins a new history.
#[utoipa::path(
    get,
    path = "/v1/robustness/windows",
    tag = "robustness",
    responses((status = 200, description = "Complete windows, oldest first", body = WindowHistory))
)]
pub(super) async fn windows(state: web::Data<AppState>) -> web::Json<WindowHistory> {
    web::Json(state.monitor.history())
}
