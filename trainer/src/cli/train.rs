//! `holdfast-trainer train`: from a configuration to a checkpoint that knows how good it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use candle_core::{DType, Device};
use clap::Args;
use holdfast_attack::Report;
use holdfast_model::checkpoint::{self, DatasetFingerprint, NewCheckpoint};
use holdfast_model::device::{device, device_name};
use holdfast_model::pretrained::Published;
use holdfast_model::{Embedder, EmbeddingNet, InputShape};
use holdfast_trainer::config::TrainConfig;
use holdfast_trainer::dataset::Dataset;
use holdfast_trainer::random::{Purpose, stream};
use holdfast_trainer::train::{Trained, train};
use holdfast_trainer::weights::{self, Hub};

use super::interrupt::Interrupt;
use super::scores::{self, Column};
use super::{Ending, Screen, data, evaluate};
use crate::curves;
use crate::progress::Training;

/// Train a net, measure it, and write it as a checkpoint folder.
///
/// The folder holds the weights, a manifest, the evaluation report, a model card, the training log and its curves.
/// Ctrl-C ends the training early, with a valid checkpoint of what was learned until then.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  On the toy shop, without data:
    holdfast-trainer train --config configs/train/toy-shop.toml --out nets/robust
  The same net without defense, to compare:
    holdfast-trainer train --config configs/train/toy-shop.toml --out nets/undefended \\
      --set 'defense=N/A[S]'
  Any row of the papers' tables, in their notation:
    holdfast-trainer train --config configs/train/fashion.toml --data PATH --out nets/act --set 'defense=ACT[R]'
  Fewer steps, a stronger inner attack:
    holdfast-trainer train --config configs/train/toy-shop.toml --out nets/try \\
      --set steps=50 defense.pgd.steps=16")]
pub struct Arguments {
    /// Configuration of the run, a TOML file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Folder with the pictures, instead of the configuration's: Fashion-MNIST's idx files, or one folder a class.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,

    /// Folder of the checkpoint; an older checkpoint there is replaced in the end.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Folder in which a relative path of pretrained weights is looked for, if it is not beside the configuration.
    #[arg(long, value_name = "DIR", env = "HOLDFAST_SHARED")]
    shared: Option<PathBuf>,

    /// Where to compute: cpu, cuda:N, or auto (CUDA if there is one).
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: String,

    /// Seed, instead of the configuration's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Replace values of the configuration, each a dotted key and a TOML value.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value, num_args = 1..)]
    overrides: Vec<(String, String)>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as steps=100")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// What describes a run, whatever it learns.
struct Run<'a> {
    config: &'a TrainConfig,
    json: serde_json::Value,
    dataset: DatasetFingerprint,
    defense: String,
    out: &'a Path,
}

/// Trains, saves, measures and saves again, so that neither a crash nor Ctrl-C in the evaluation costs the training.
///
/// # Errors
/// If the configuration, the data or the device cannot be used, training fails, or the checkpoint cannot be written.
pub fn run(arguments: &Arguments, screen: &mut Screen) -> anyhow::Result<Ending> {
    let mut config = configuration(arguments)?;
    ensure_replaceable(&arguments.out)?;
    let device = device(&arguments.device)?;
    let net = first_net(&mut config, arguments, &device)?;
    let splits = data::load(&config.data, net.input())?;
    let run = Run {
        config: &config,
        json: serde_json::to_value(&config).context("writing the configuration as JSON")?,
        dataset: splits.train.fingerprint(),
        defense: config.defense.build().name(),
        out: &arguments.out,
    };
    let (steps, pairs) = (config.steps, config.pairs);
    eprintln!("{}: {steps} steps of {pairs} pairs with {} on {}", config.backbone, run.defense, device_name(&device));

    let interrupt = Interrupt::install()?;
    let trained = learn(net, &splits.train, &config, &interrupt)?;
    run.save(&trained, None)?;
    if interrupt.pressed() {
        writeln!(
            screen,
            "stopped after {} of {} steps; the net is in {}",
            trained.steps,
            config.steps,
            run.out.display()
        )?;
        return Ok(Ending::Interrupted);
    }

    let measured = || evaluate::measure(&trained.net, &splits.test, &config.evaluation, config.seed);
    let report = interrupt.at_once(measured)?;
    run.save(&trained, Some(&report))?;
    run.tell(report, screen)?;
    Ok(Ending::Done)
}

/// The net before the first step: fresh, or with published weights, whose checksum then stands in the configuration.
fn first_net(config: &mut TrainConfig, arguments: &Arguments, device: &Device) -> anyhow::Result<EmbeddingNet> {
    let rng = &mut stream(config.seed, Purpose::Initialisation);
    let net = match &mut config.weights {
        None => EmbeddingNet::init(&config.backbone, device, DType::F32, rng)?,
        Some(weights) => {
            let folder = arguments.config.parent().unwrap_or(Path::new(""));
            let path = weights::locate(weights, folder, arguments.shared.as_deref(), &Hub::from_environment())?;
            let published = Published::read(&path, weights.sha256.as_deref())?;
            weights.sha256 = Some(published.sha256().to_owned());
            eprintln!("starting from {}", path.display());
            EmbeddingNet::pretrained(&config.backbone, &published, device, DType::F32, rng)?
        }
    };
    let Some(side) = config.input_side else { return Ok(net) };
    let input = InputShape { height: side, width: side, ..net.input() };
    Ok(net.with_input(input)?)
}

/// The training itself, with progress on stderr, until its last step or Ctrl-C.
fn learn(net: EmbeddingNet, dataset: &Dataset, config: &TrainConfig, interrupt: &Interrupt) -> anyhow::Result<Trained> {
    let mut progress = Training::new(config.steps, config.log_every);
    let trained = train(net, dataset, config, &mut |log| {
        progress.step(log);
        if interrupt.pressed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    progress.finish();
    trained.context("training the net")
}

/// The configuration file with the command line's changes, checked.
fn configuration(arguments: &Arguments) -> anyhow::Result<TrainConfig> {
    let overrides: Vec<(&str, &str)> =
        arguments.overrides.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut config = data::read_config(&arguments.config, &overrides)?;
    config.seed = arguments.seed.unwrap_or(config.seed);
    if let Some(path) = &arguments.data {
        data::point_at(&mut config.data, path);
    }
    config.validate().with_context(|| format!("in the configuration {}", arguments.config.display()))?;
    Ok(config)
}

/// Refuses now what saving would refuse after all the training.
fn ensure_replaceable(out: &Path) -> anyhow::Result<()> {
    let entries: Vec<_> = match fs::read_dir(out) {
        Ok(entries) => entries.collect::<Result<_, _>>().with_context(|| format!("cannot read {}", out.display()))?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => bail!("cannot write a checkpoint to {}: {error}", out.display()),
    };
    let is_checkpoint = entries.iter().any(|entry| entry.file_name() == "manifest.json");
    ensure!(
        entries.is_empty() || is_checkpoint,
        "{} holds files that are no checkpoint, and all of it would be replaced; choose a new or empty folder",
        out.display()
    );
    Ok(())
}

impl Run<'_> {
    /// Writes the checkpoint, with the report if there is one.
    fn save(&self, trained: &Trained, report: Option<&Report>) -> anyhow::Result<()> {
        let title = format!("{} on {}, {} steps", self.defense, self.dataset.name, trained.steps);
        let curves = curves::draw(&title, &trained.log).map_err(anyhow::Error::msg).context("drawing the curves")?;
        let json = report.map(serde_json::to_value).transpose().context("writing the report as JSON")?;
        let mut log = String::new();
        for step in &trained.log {
            log += &serde_json::to_string(step).context("writing the training log as JSON")?;
            log.push('\n');
        }
        let new = NewCheckpoint {
            net: &trained.net,
            config: &self.json,
            seed: self.config.seed,
            steps: trained.steps as u64,
            defense: &self.defense,
            dataset: &self.dataset,
            metrics: &report.map(headlines).unwrap_or_default(),
            created: jiff::Timestamp::now(),
            report: json.as_ref(),
            attachments: &[("curves.svg", curves.as_bytes()), ("log.jsonl", log.as_bytes())],
        };
        checkpoint::save(self.out, &new).context("saving the checkpoint")?;
        Ok(())
    }

    /// What came out, and what can be done with it.
    fn tell(&self, report: Report, screen: &mut Screen) -> anyhow::Result<()> {
        let colours = screen.colours;
        scores::write(screen, &[Column { name: self.defense.clone(), report }], colours)?;
        let out = self.out.display();
        writeln!(screen, "\nthe checkpoint is in {out}; next:")?;
        writeln!(screen, "  look at {out}/README.md and {out}/curves.svg")?;
        writeln!(screen, "  holdfast-trainer evaluate --checkpoint {out} --limit 512 --out report.json")?;
        writeln!(screen, "  holdfast-trainer compare {out} OTHER")?;
        Ok(())
    }
}

/// The numbers that the manifest and the model card show.
fn headlines(report: &Report) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::from([
        ("recall_at_1".to_owned(), report.recall_at_1),
        ("recall_at_2".to_owned(), report.recall_at_2),
        ("mean_average_precision".to_owned(), report.mean_average_precision),
    ]);
    let shared = report.normalized_mutual_information;
    metrics.extend(shared.map(|shared| ("normalized_mutual_information".to_owned(), shared)));
    metrics.extend(scores::worst_recall_at_1(report).map(|recall| ("recall_at_1_under_attack".to_owned(), recall)));
    metrics.extend(report.attacks.iter().map(|(name, attack)| (format!("score {name}"), attack.score)));
    metrics.extend(report.ers.map(|ers| ("ers".to_owned(), ers)));
    metrics
}
