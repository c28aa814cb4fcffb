//! What every handler can reach.

use std::sync::Arc;

use actix_web::web;
use tokio::sync::Semaphore;

use super::error::ApiError;
use crate::config::ServeConfig;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::service::monitor::Monitor;

/// Shared by all threads of the server.
pub struct AppState {
    pub(super) service: Arc<Service>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) config: ServeConfig,
    /// One permit for each request that works or waits for a thread.
    admission: Arc<Semaphore>,
}

impl AppState {
    /// Binds the parts of a server together.
    pub fn new(service: Arc<Service>, monitor: Arc<Monitor>, metrics: Arc<Metrics>, config: ServeConfig) -> Self {
        let admission = Arc::new(Semaphore::new(config.http.max_in_flight));
        AppState { service, monitor, metrics, config, admission }
    }

    /// Runs blocking work on a thread that may block.
    ///
    /// # Errors
    /// Those of the work; too many requests under way; or the work panicked.
    pub(super) async fn blocking<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&AppState) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        // The permit goes with the work: a client that hangs up does not stop it.
        let permit = Arc::clone(&self.admission).try_acquire_owned().map_err(|_| ApiError::TooManyInFlight)?;
        let done = web::block(move || {
            let result = work(&self);
            drop(permit);
            result
        });
        done.await.map_err(|_| ApiError::Interrupted)?
    }

    /// Counts a picture that was refused.
    pub(super) fn count_rejected_picture(&self, error: &ApiError) {
        if let Some(reason) = error.rejected_picture() {
            self.metrics.image_rejected_total.with_label_values(&[reason]).inc();
        }
    }
}
