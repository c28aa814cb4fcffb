//! What can go wrong while attacking, and what to do about it.

use crate::ERS_TERMS;

/// The result of an attack or of an evaluation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an attack or an evaluation gave no result. None of these may pass for robustness.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// candle refused an operation; its own message may hold a backtrace, so it is only the source.
    #[error("a tensor operation failed during an attack")]
    Tensor(#[from] candle_core::Error),

    /// The model refused pictures or embeddings.
    #[error(transparent)]
    Model(#[from] holdfast_model::Error),

    /// A NaN or an infinity: its sign is 0 or arbitrary, so the attack would stand still and look repelled.
    #[error(
        "{quantity} at PGD step {step} holds {value}, expected finite numbers; \
         check weights and pictures for NaN, and the loss for distances at 0; no score is given"
    )]
    NotFinite {
        /// What held the value: "the loss", "the gradient", "the final embedding", …
        quantity: &'static str,
        /// Number of pixel updates made before.
        step: usize,
        /// The first offending value.
        value: f64,
    },

    /// The loss is not connected to the pixels, so no attack took place.
    #[error(
        "the loss at PGD step {step} does not depend on the pixels; \
         an operation without a gradient, or a detached embedding, cuts the path; no score is given"
    )]
    NoGradient {
        /// Number of pixel updates made before.
        step: usize,
    },

    /// An objective must be one number.
    #[error("an attack's loss must be a scalar, got shape {shape:?}; reduce it with a sum or a mean")]
    NotScalar {
        /// The shape of the loss.
        shape: Vec<usize>,
    },

    /// A number outside its legal range.
    #[error("{name} must be {rule}, got {value}")]
    Parameter {
        /// The setting.
        name: &'static str,
        /// What it must be.
        rule: &'static str,
        /// What it was.
        value: f64,
    },

    /// Pixels that no picture has: usually mean and deviation were applied outside the net.
    #[error("pixels must lie in [0, 1], got {value}; normalisation by mean and deviation belongs inside the net")]
    PixelRange {
        /// The first offending value.
        value: f64,
    },

    /// Pixels in a number format without an update rule.
    #[error("pixels must be f32 or f64 to be attacked, got {}", dtype.as_str())]
    PixelType {
        /// What they were.
        dtype: candle_core::DType,
    },

    /// Pictures and labels do not belong together.
    #[error("{pictures} pictures need as many labels, got {labels}")]
    LabelCount {
        /// Number of pictures.
        pictures: usize,
        /// Number of labels.
        labels: usize,
    },

    /// An attack that is defined by true labels met a set without them.
    #[error("attack {attack} needs the true labels of queries and gallery; choose another attack or supply labels")]
    LabelsMissing {
        /// Its name.
        attack: &'static str,
    },

    /// Nothing to do.
    #[error("an evaluation needs at least one {what}, got none")]
    Empty {
        /// What is missing.
        what: &'static str,
    },

    /// The nearest one percent of the gallery holds too few targets.
    #[error(
        "attack {attack} draws {needed} of the nearest 1 % of the gallery, \
         but 1 % of {items} items is {pool}; use a gallery of at least {} items", needed * 100
    )]
    GalleryTooSmall {
        /// Its name.
        attack: &'static str,
        /// Number of targets a query.
        needed: usize,
        /// Size of the gallery.
        items: usize,
        /// Size of the pool.
        pool: usize,
    },

    /// An attack between classes met one class only.
    #[error(
        "attack {attack} needs gallery items of at least two classes, and the {items} items that it was given \
         (a query's own among them) do not offer a query two; add items of other classes, or choose another attack"
    )]
    OneClass {
        /// Its name.
        attack: &'static str,
        /// Size of the gallery.
        items: usize,
    },

    /// A query that nothing could answer rightly.
    #[error(
        "query {query} is of class {label}, of which the gallery holds no picture, so it can find nothing; \
         add one to the gallery, or drop the query"
    )]
    NoMatch {
        /// Its row.
        query: usize,
        /// Its class number.
        label: u32,
    },

    /// A batch that is not the one whose targets were chosen.
    #[error("an aim at the targets of {targets} pictures was given {pictures}; choose targets for the batch at hand")]
    Batch {
        /// Pictures that the aim has targets for.
        targets: usize,
        /// Pictures it was given.
        pictures: usize,
    },

    /// Targets that do not fit the queries or the gallery.
    #[error(
        "each query needs the same number of targets, at least one, below {items}; got {targets:?} for query {query}"
    )]
    Targets {
        /// The query.
        query: usize,
        /// Its targets.
        targets: Vec<usize>,
        /// Size of the gallery.
        items: usize,
    },

    /// A name that is not registered.
    #[error("unknown {kind} \"{name}\"; known: {known}")]
    Unknown {
        /// "attack" or "profile".
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The choices, separated by commas.
        known: String,
    },

    /// Fewer than ten scores are not an ERS.
    #[error("an ERS is the mean of all ten terms ({}); missing: {}", ERS_TERMS.join(", "), missing.join(", "))]
    Incomplete {
        /// The terms without a value.
        missing: Vec<&'static str>,
    },
}
