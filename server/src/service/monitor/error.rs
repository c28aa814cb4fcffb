//! Why a window of the monitor did not come to its end.

use crate::service::ServiceError;
use crate::service::canary::CanaryError;

/// Why a window did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum WindowError {
    /// There is nothing to attack yet; says what is missing.
    #[error("{0}")]
    Waiting(String),
    /// The canary set cannot be used.
    #[error(transparent)]
    Canary(#[from] CanaryError),
    /// An attack failed, or its result is not to be trusted.
    #[error(transparent)]
    Attack(#[from] holdfast_attack::Error),
    /// The net or a measurement failed.
    #[error(transparent)]
    Model(#[from] holdfast_model::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A search of the live index failed.
    #[error("a search of the live index failed: {0}")]
    Search(#[from] ServiceError),
    /// There is a bug: the window panicked.
    #[error("the window panicked: {0}")]
    Panicked(String),
}

impl WindowError {
    /// What people who see the page may know. Tensor errors can carry a backtrace, so they stay in the log.
    pub fn public(&self) -> String {
        use holdfast_attack::Error as Attack;
        use holdfast_model::Error as Model;
        match self {
            Self::Tensor(_)
            | Self::Model(Model::Tensor(_))
            | Self::Attack(Attack::Tensor(_) | Attack::Model(Model::Tensor(_)))
            | Self::Search(ServiceError::Internal(_))
            | Self::Panicked(_) => "an internal error ended the window; the server's log has the details".to_owned(),
            told => told.to_string(),
        }
    }
}
