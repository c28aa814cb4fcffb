//! `holdfast-trainer train`: from a configuration to a checkpoint that knows how good it is.

mod job;
mod paused;
mod saving;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use candle_core::{DType, Device};
use clap::Args;
use holdfast_attack::Report;
use holdfast_model::device::{device, device_name};
use holdfast_model::pretrained::Published;
use holdfast_model::{Embedder, EmbeddingNet, InputShape};
use holdfast_trainer::config::TrainConfig;
use holdfast_trainer::dataset::Splits;
use holdfast_trainer::random::{Purpose, stream};
use holdfast_trainer::train::TrainingState;
use holdfast_trainer::training_state::Record;
use holdfast_trainer::weights::{self, Hub};

use super::interrupt::Interrupt;
use super::scores::{self, Column};
use super::{Ending, Screen, data, evaluate};
use job::{Ended, Job};
use paused::Paused;
use saving::{History, Run};

/// Train a net, measure it, and write it as a checkpoint folder.
///
/// The folder holds the weights, a manifest, the evaluation report, a model card, the training log and its curves, and
/// what the run needs to go on. It is written every `checkpoint_every` steps, each time whole: a run that was killed goes
/// on from it with `--resume`, to the same net as without a pause. Ctrl-C ends the training early, with a checkpoint of
/// what was learned until then.
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
      --set steps=50 defense.pgd.steps=16
  Go on with a run that was stopped, or make a finished one longer:
    holdfast-trainer train --resume nets/robust
    holdfast-trainer train --resume nets/robust --set steps=400")]
pub struct Arguments {
    /// Configuration of the run, a TOML file.
    #[arg(long, value_name = "FILE", required_unless_present = "resume")]
    config: Option<PathBuf>,

    /// Folder with the pictures, instead of the configuration's: Fashion-MNIST's idx files, or one folder a class.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,

    /// Folder of the checkpoint; an older checkpoint of a run that ended is replaced by the first of this one.
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    out: Option<PathBuf>,

    /// Go on with the run in this folder, or in that of --out. With --config and --out, begin if there is none yet.
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    resume: Option<Option<PathBuf>>,

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

/// Trains, saves, measures and saves again, so that neither a crash nor Ctrl-C in the evaluation costs the training.
///
/// # Errors
/// If the configuration, the data or the device cannot be used, training fails, or the checkpoint cannot be written.
pub fn run(arguments: &Arguments, screen: &mut Screen) -> anyhow::Result<Ending> {
    let out = arguments.folder()?;
    ensure_writable(out)?;
    let device = device(&arguments.device)?;
    let paused = arguments.paused(out, &device)?;
    let mut config = arguments.configuration(paused.as_ref())?;
    let net = match &paused {
        Some(paused) => paused.state.net.clone(),
        None => arguments.first_net(&mut config, &device)?.into(),
    };
    let splits = data::load(&config.data, net.input())?;
    config.settle_steps(splits.train.len());
    let run = Run { config: &config, dataset: splits.train.fingerprint(), defense: config.defense.build().name(), out };
    let (steps, pairs) = (config.steps, config.pairs);
    eprintln!("{}: {steps} steps of {pairs} pairs with {} on {}", config.backbone, run.defense, device_name(&device));
    if let Some(paused) = &paused {
        ensure_same_run(&run, paused)?;
        if paused.measured && paused.record.steps == steps {
            writeln!(screen, "the run in {} has made its {steps} steps; --set steps=N makes it longer", out.display())?;
            return Ok(Ending::Done);
        }
        eprintln!("going on after step {}", paused.record.steps);
    }
    let mut job = match paused {
        Some(Paused { state, record: Record { probes, softened, .. }, .. }) => {
            Job::resumed(&run, &splits, state, History { probes, softened, ended_at: None })?
        }
        None => Job::fresh(&run, &splits, &net)?,
    };
    drop(net); // its parameters were copied

    let interrupt = Interrupt::install()?;
    let ended = job.go(&interrupt)?;
    if interrupt.pressed() {
        let made = job.state()?.log.len();
        writeln!(screen, "stopped after {made} of {steps} steps; the net is in {}", out.display())?;
        writeln!(screen, "  holdfast-trainer train --resume {}  goes on from there", out.display())?;
        return Ok(Ending::Interrupted);
    }
    let (state, history) = (job.state()?, job.history().clone());
    drop(job);
    measure(&run, &state, &history, &splits, &interrupt, screen)?;
    let collapsed = ended == Ended::Collapsed || history.is_collapsed();
    Ok(if collapsed { Ending::Collapsed } else { Ending::Done })
}

impl Arguments {
    /// Where the checkpoint is written.
    fn folder(&self) -> anyhow::Result<&Path> {
        match (&self.resume, &self.out) {
            (Some(Some(resume)), Some(out)) if resume != out => {
                bail!("--resume {} and --out {} name two folders; give one of them", resume.display(), out.display())
            }
            (Some(Some(folder)), _) | (_, Some(folder)) => Ok(folder),
            (_, None) => bail!("--resume needs the folder of the run to go on with: --resume DIR"),
        }
    }

    /// The run to go on with, if one is asked for and there is one; refuses to write over a run that has not ended.
    fn paused(&self, out: &Path, device: &Device) -> anyhow::Result<Option<Paused>> {
        match &self.resume {
            Some(None) if self.config.is_some() && !out.join("manifest.json").exists() => Ok(None),
            Some(_) => Ok(Some(paused::load(out, device)?)),
            None => {
                ensure_replaceable(out)?;
                Ok(None)
            }
        }
    }

    /// The configuration file, or that of the paused run, with the command line's changes, checked.
    fn configuration(&self, paused: Option<&Paused>) -> anyhow::Result<TrainConfig> {
        let overrides: Vec<(&str, &str)> =
            self.overrides.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let (mut config, place) = match (&self.config, paused) {
            (Some(file), _) => (data::read_config(file, &overrides)?, file.display().to_string()),
            (None, Some(paused)) => (paused.record.config(&overrides)?, "of the run".to_owned()),
            (None, None) => bail!("a run needs a configuration: --config FILE"),
        };
        config.seed = self.seed.unwrap_or(config.seed);
        if let Some(path) = &self.data {
            data::point_at(&mut config.data, path);
        }
        config.validate().with_context(|| format!("in the configuration {place}"))?;
        Ok(config)
    }

    /// The net before the first step: fresh, or with published weights, whose checksum then stands in the configuration.
    fn first_net(&self, config: &mut TrainConfig, device: &Device) -> anyhow::Result<EmbeddingNet> {
        let rng = &mut stream(config.seed, Purpose::Initialisation);
        let net = match &mut config.weights {
            None => EmbeddingNet::init(&config.backbone, device, DType::F32, rng)?,
            Some(weights) => {
                let folder = self.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
                let path = weights::locate(weights, folder, self.shared.as_deref(), &Hub::from_environment())?;
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
}

/// Refuses to go on with another configuration or other pictures.
fn ensure_same_run(run: &Run<'_>, paused: &Paused) -> anyhow::Result<()> {
    paused::ensure_same_course(run.config, paused)?;
    let (theirs, ours) = (&paused.manifest.dataset, &run.dataset);
    ensure!(
        theirs.sha256 == ours.sha256,
        "the run was trained on other pictures ({}, {} pictures, sha256 {}) than those given now ({}, {} pictures, sha256 \
         {}); give it the same ones with --data",
        theirs.name,
        theirs.pictures,
        theirs.sha256,
        ours.name,
        ours.pictures,
        ours.sha256
    );
    Ok(())
}

/// Attacks the trained net, saves what came out, and tells it.
fn measure(
    run: &Run<'_>,
    state: &TrainingState,
    history: &History,
    splits: &Splits,
    interrupt: &Interrupt,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let attack = || evaluate::measure(&state.net, &splits.test, &run.config.evaluation, run.config.seed);
    let report = interrupt.at_once(attack)?;
    run.save(run.out, state, history, Some(&report))?;
    run.tell(history, report, screen)
}

/// Refuses now what saving would refuse after all the training.
fn ensure_writable(out: &Path) -> anyhow::Result<()> {
    let full = std::path::absolute(out).with_context(|| format!("cannot find {}", out.display()))?;
    let place = full.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let refused = || {
        format!(
            "cannot write the checkpoint {}: no folder can be made in {}; choose another one",
            out.display(),
            place.display()
        )
    };
    tempfile::tempdir_in(place).with_context(refused)?;
    Ok(())
}

/// Refuses to delete what is no checkpoint, or the only trace of a run that has not ended.
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
    if let Some(record) = paused::record(out) {
        let planned = record.config(&[])?.steps;
        ensure!(
            record.steps == planned,
            "{0} holds a run that was stopped after {1} of {planned} steps; go on with it by --resume, or delete the folder \
             to begin again",
            out.display(),
            record.steps
        );
    }
    Ok(())
}

impl Run<'_> {
    /// What came out, and what can be done with it.
    fn tell(&self, history: &History, report: Report, screen: &mut Screen) -> anyhow::Result<()> {
        let colours = screen.colours;
        scores::write(screen, &[Column { name: self.defense.clone(), report }], colours)?;
        for warning in history.warnings() {
            writeln!(screen, "\nwarning: {warning}")?;
        }
        let out = self.out.display();
        writeln!(screen, "\nthe checkpoint is in {out}; next:")?;
        writeln!(screen, "  look at {out}/README.md and {out}/curves.svg")?;
        writeln!(screen, "  holdfast-trainer evaluate --checkpoint {out} --limit 512 --out report.json")?;
        writeln!(screen, "  holdfast-trainer compare {out} OTHER")?;
        if let Some((step, value)) = history.best(self.config.best_by) {
            let best = self.best();
            writeln!(screen, "  the best net by its probes, {value:.1} after step {step}, is in {}", best.display())?;
        }
        Ok(())
    }
}
