//! What can go wrong while a net is trained.

use std::fmt::Write;
use std::path::PathBuf;

use crate::dataset::DatasetError;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why training, or the preparation for it, stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed: shapes, memory or the device.
    #[error("a tensor operation failed during training")]
    Tensor(#[from] candle_core::Error),

    /// The net, its pictures or its checkpoint were refused.
    #[error(transparent)]
    Model(#[from] holdfast_model::Error),

    /// The inner attack failed, usually because a loss or gradient was not finite.
    #[error(transparent)]
    Attack(#[from] holdfast_attack::Error),

    /// The data cannot be loaded, or a picture of it cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),

    /// The configuration text describes neither a training run nor an evaluation.
    #[error("the configuration cannot be read: {detail}")]
    UnreadableConfig {
        /// The parser's message: where, what, and which keys or values are known.
        detail: String,
    },

    /// A `key=value` override cannot be applied.
    #[error("the override \"{key}={value}\" cannot be applied: {reason}")]
    Override {
        /// The dotted key.
        key: String,
        /// The text after the equals sign.
        value: String,
        /// What is wrong with the pair.
        reason: String,
    },

    /// A defense is not written as the papers do.
    #[error(
        "the defense \"{text}\" cannot be read: {reason}. Write a name ({names}) or the paper's notation: \
         N/A[R], EST[R], REST[R], SES[R], ACT[R], AMD[R], HM[S,M], HM[S,-0.1], HM[S,gLGA]&ICS, CA-TRIDE. In brackets \
         stands a miner (R random, M semihard, S softhard, D distance-weighted, H hardest); HM has a destination \
         after it: a miner, a hardness, gLGA, g2, g1/2 or gB(M). Parameters: HM[S,gLGA](u=2.2), \
         HM[S,gB(M)](xi=0.1), &ICS(lambda=0.05,gamma=0.2), CA-TRIDE(lambda=9.5)"
    )]
    Notation {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
        /// The registered defenses.
        names: String,
    },

    /// The configuration was read, and some of its values make no sense.
    #[error("the configuration has {} problem(s):{}", problems.len(), bullets(problems))]
    InvalidConfig {
        /// Every problem, not only the first.
        problems: Vec<String>,
    },

    /// No weight file is where the configuration says.
    #[error("the weights {} are nowhere:{}\ngive an absolute path, or the folder that holds them with --shared", file.display(), looked_at(places))]
    NoWeights {
        /// The path in the configuration.
        file: PathBuf,
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },

    /// A weight file could not be downloaded.
    #[error(
        "{} of {repository} at commit {revision} is not in the cache and cannot be downloaded; without a network, put the \
         file at {}, or name another copy with weights = {{ file = …, sha256 = … }}",
        file.display(),
        cached.display()
    )]
    Download {
        /// The file in the repository.
        file: PathBuf,
        /// The repository.
        repository: String,
        /// Its commit.
        revision: String,
        /// Where the file would be kept.
        cached: PathBuf,
        /// What the client says.
        source: Box<hf_hub::api::sync::ApiError>,
    },

    /// A batch is not made of labelled pairs.
    #[error("a batch must be {rule}, got {got}")]
    Batch {
        /// What a batch has to be.
        rule: &'static str,
        /// What it was.
        got: String,
    },

    /// A miner found nothing to choose from.
    #[error(
        "the {miner} miner found no negative for row {anchor}: every other row has the label {label} or \
         lies exactly on the anchor; use more pairs or classes, or another miner"
    )]
    NoNegative {
        /// The miner's name.
        miner: &'static str,
        /// The row of the anchor in the batch.
        anchor: usize,
        /// The anchor's label.
        label: u32,
    },

    /// The data cannot teach this net.
    #[error("the data set \"{name}\" cannot train this net: {reason}")]
    UnsuitableData {
        /// The data set's name.
        name: String,
        /// What is missing or does not fit.
        reason: String,
    },

    /// A step of the training went wrong.
    #[error("training step {step} failed")]
    Step {
        /// The step, from 1.
        step: usize,
        /// What went wrong.
        source: Box<Error>,
    },

    /// A number that must be finite was not.
    #[error("{what} became {value}: lower the learning rate, or look for broken pictures in the data")]
    NotFinite {
        /// Which number.
        what: &'static str,
        /// Its value: NaN or an infinity.
        value: f64,
    },

    /// The embeddings of a batch hold a NaN or an infinity.
    #[error(
        "the embedding of batch row {row} is not finite, so no triplet can be mined from it: lower the learning rate, \
         or look for broken parameters and pictures"
    )]
    EmbeddingNotFinite {
        /// The first such row.
        row: usize,
    },

    /// A file of a paused run is not what it should be.
    #[error("the training state in {file} cannot be used: {detail}")]
    UnreadableState {
        /// The file's name.
        file: &'static str,
        /// What is wrong with it.
        detail: String,
    },

    /// The state of an optimizer is not that of the net's parameters.
    #[error("the training state has no moments that fit the parameter \"{name}\": it is the state of another net")]
    ForeignMoments {
        /// The parameter's name.
        name: String,
    },

    /// The state of a defense is not that of the configured one.
    #[error(
        "the training state lacks the number \"{name}\" of the defense, or it is not finite: it is the state of another defense"
    )]
    ForeignDefenseState {
        /// The number's name.
        name: &'static str,
    },

    /// A parameter did not take part in the loss.
    #[error("the parameter \"{name}\" received no gradient: an operation of the net has no backward pass")]
    MissingGradient {
        /// The parameter's name.
        name: String,
    },
}

fn bullets(problems: &[String]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        write!(text, "\n  - {problem}").expect("writing to a String cannot fail. This is a bug.");
        text
    })
}

fn looked_at(places: &[PathBuf]) -> String {
    bullets(&places.iter().map(|place| format!("no file {}", place.display())).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_config_lists_every_problem() {
        let error = Error::InvalidConfig { problems: vec!["steps is 0".into(), "pairs is 0".into()] };

        assert_eq!(error.to_string(), "the configuration has 2 problem(s):\n  - steps is 0\n  - pairs is 0");
    }
}
