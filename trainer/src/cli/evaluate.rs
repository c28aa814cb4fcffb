//! `holdfast-trainer evaluate`: how well a checkpoint finds things, untouched and under attack.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use candle_core::{DType, Tensor};
use clap::Args;
use holdfast_attack::{Conformance, EvaluateOptions, Labelled, Protocol, Report, TestSet, by_names};
use holdfast_model::checkpoint::{self, Checkpoint};
use holdfast_model::{Embedder, EmbeddingNet, Precision, atomic, device};
use holdfast_trainer::config::{EvaluationConfig, TrainConfig};
use holdfast_trainer::dataset::Dataset;
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::data::{self, DataArguments};
use super::scores::{self, Column};
use super::test_pictures::{self, TestPictures};
use super::{Ending, Screen};
use crate::progress::Evaluating;

/// Measure a net: retrieval on clean pictures, then under attack.
///
/// Each test picture searches among all others, unless the protocol says otherwise. What is not given here is as in the checkpoint's own configuration, so
/// that two nets of one configuration are measured alike.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  The evaluation of the end of training again, with more queries:
    holdfast-trainer evaluate --checkpoint nets/robust --limit 512 --out report.json
  As published tables have it, on a sample of the pictures:
    holdfast-trainer evaluate --checkpoint nets/robust --data FOLDER --profile configs/attack/ers-28.toml --limit 256
  Two attacks, on other pictures:
    holdfast-trainer evaluate --checkpoint nets/robust --data my-pictures --attacks QA+,ES --out mine.json")]
pub struct Arguments {
    /// Folder of the checkpoint.
    #[arg(long, value_name = "DIR")]
    checkpoint: PathBuf,

    #[command(flatten)]
    data: DataArguments,

    /// Attacks: "all" for those of the robustness score, or names with commas between, such as QA+,ES or all,NES.
    #[arg(long, value_name = "NAMES")]
    attacks: Option<String>,

    /// Attack at most so many pictures: a number, or all.
    #[arg(long, value_name = "N", value_parser = count)]
    limit: Option<usize>,

    /// Search among at most so many pictures: a number, or all.
    #[arg(long, value_name = "N", value_parser = count)]
    gallery: Option<usize>,

    /// Budget of the attacks: rob28 (ε = 77/255), rob224 (ε = 8/255), or an evaluation file, whose other keys hold too.
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,

    /// Whose reading of the attacks is carried out: reference (as published numbers have it) or corrected.
    #[arg(long, value_name = "NAME", value_parser = named::<Conformance>)]
    conformance: Option<Conformance>,

    /// Who searches where: leave_one_out (each picture among all others) or query_gallery (as the data tells them apart).
    #[arg(long, value_name = "NAME", value_parser = named::<Protocol>)]
    protocol: Option<Protocol>,

    /// Arithmetic of the net while it is attacked: f32 or bf16.
    #[arg(long, value_name = "NAME", value_parser = named::<Precision>)]
    precision: Option<Precision>,

    /// Decides the attacks' random targets.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Where to compute: cpu, cuda:N, or auto (CUDA if there is one).
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: String,

    /// Where to write the report as JSON.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A value by its name in configurations.
fn named<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    T::deserialize(name.into_deserializer()).map_err(|error: serde::de::value::Error| error.to_string())
}

fn count(text: &str) -> Result<usize, String> {
    if text == "all" { Ok(usize::MAX) } else { text.parse().map_err(|_| "expected a number, or all".to_owned()) }
}

/// Loads the checkpoint and the pictures, attacks, writes the report and prints it.
///
/// # Errors
/// If the checkpoint or the pictures cannot be used, an option makes no sense, or the report cannot be written.
pub fn run(arguments: &Arguments, screen: &mut Screen) -> anyhow::Result<Ending> {
    if let Some(out) = &arguments.out {
        ensure_place(out)?;
    }
    let device = device::device(&arguments.device)?;
    let Checkpoint { manifest, net, .. } = checkpoint::load(&arguments.checkpoint, &device, DType::F32)?;
    let config: TrainConfig = serde_json::from_value(manifest.config).with_context(|| {
        format!("the manifest of {} holds no training configuration", arguments.checkpoint.display())
    })?;
    let evaluation = options(arguments, config.evaluation)?;
    let splits = data::load(&arguments.data.resolve(config.data)?, net.input())?;
    if splits.train.fingerprint() != manifest.dataset {
        eprintln!("note: this net was trained on other pictures ({})", manifest.dataset.name);
    }

    let report = measure(&net, &splits.test, &evaluation, manifest.seed)?;
    let name = arguments.checkpoint.file_name().unwrap_or(arguments.checkpoint.as_os_str());
    let column = Column { name: name.to_string_lossy().into_owned(), report };
    if let Some(out) = &arguments.out {
        let json = serde_json::to_string_pretty(&column.report).context("writing the report as JSON")? + "\n";
        atomic::write(out, json.as_bytes()).with_context(|| format!("cannot write the report {}", out.display()))?;
        eprintln!("the report is in {}", out.display());
    }
    let colours = screen.colours;
    scores::write(screen, &[column], colours)?;
    screen.flush()?;
    Ok(Ending::Done)
}

/// Refuses now what writing would refuse after all the attacks.
fn ensure_place(out: &Path) -> anyhow::Result<()> {
    let folder = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "cannot write the report {}: there is no folder {}", out.display(), folder.display());
    ensure!(!out.is_dir(), "cannot write the report {}: it is a folder", out.display());
    Ok(())
}

/// The checkpoint's own evaluation with what the command line says otherwise.
fn options(arguments: &Arguments, mut evaluation: EvaluationConfig) -> anyhow::Result<EvaluationConfig> {
    if let Some(name) = &arguments.profile {
        evaluation = evaluation.under(name)?;
    }
    if let Some(conformance) = arguments.conformance {
        evaluation.profile.conformance = conformance;
    }
    if let Some(precision) = arguments.precision {
        evaluation.profile.precision = precision;
    }
    evaluation.protocol = arguments.protocol.unwrap_or(evaluation.protocol);
    if let Some(names) = &arguments.attacks {
        evaluation.attacks.clone_from(names);
    }
    evaluation.queries = arguments.limit.unwrap_or(evaluation.queries);
    evaluation.gallery = arguments.gallery.unwrap_or(evaluation.gallery);
    evaluation.seed = arguments.seed.or(evaluation.seed);
    evaluation.validate()?;
    Ok(evaluation)
}

/// Measures a net on the first pictures of a test set, with progress on stderr; `seed` decides where the evaluation
/// does not.
///
/// # Errors
/// If an attack is not known, cannot be mounted on these pictures, or meets a number that is not finite.
pub fn measure(net: &EmbeddingNet, test: &Dataset, evaluation: &EvaluationConfig, seed: u64) -> anyhow::Result<Report> {
    let attacks = by_names(&evaluation.attacks)?;
    let TestPictures { gallery, queries } = test_pictures::choose(test, evaluation)?;
    let gather = |pictures: &[usize]| -> anyhow::Result<(Tensor, Vec<u32>)> {
        let pixels = test.gather(pictures, net.device(), net.dtype()).context("reading the test pictures")?;
        Ok((pixels, pictures.iter().map(|&picture| test.labels[picture]).collect()))
    };
    let (gallery, queries) = (gather(&gallery)?, queries.as_deref().map(gather).transpose()?);
    let gallery = Labelled { pixels: &gallery.0, labels: &gallery.1 };
    let set = match &queries {
        None => TestSet::LeaveOneOut(gallery),
        Some((pixels, labels)) => TestSet::QueryGallery { queries: Labelled { pixels, labels }, gallery },
    };
    let profile = evaluation.profile.clone();
    let options = EvaluateOptions {
        profile,
        queries: Some(evaluation.queries),
        seed: evaluation.seed.unwrap_or(seed),
        sanity: evaluation.sanity,
    };
    let mut progress = Evaluating::new();
    let mut observe = |stage: &str, done, all| progress.observe(stage, done, all);
    let report = holdfast_attack::evaluate(net, &set, &attacks, &options, &mut observe);
    progress.finish();
    report.context("evaluating the net")
}
