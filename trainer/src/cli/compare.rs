//! `holdfast-trainer compare`: reports side by side.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use holdfast_attack::{Protocol, Report};

use super::scores::{self, Column};
use super::{Ending, Screen};

/// Show evaluation reports side by side.
///
/// Scores run from 0 to 100, higher is better for the net; in parentheses what the attack reached, in the unit of
/// published tables. On a terminal the better value of each line is bold.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  holdfast-trainer compare nets/undefended nets/robust/report.json")]
pub struct Arguments {
    /// Report files, or checkpoint folders that hold a report.json.
    #[arg(required = true, value_name = "REPORT")]
    reports: Vec<PathBuf>,
}

/// Prints the table, and a warning where the reports measured different things.
///
/// # Errors
/// If a report cannot be read.
pub fn run(arguments: &Arguments, screen: &mut Screen) -> anyhow::Result<Ending> {
    let columns = arguments.reports.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let colours = screen.colours;
    scores::write(screen, &columns, colours)?;
    for difference in differences(&columns) {
        writeln!(screen, "note: {difference}, so the columns are not strictly comparable")?;
    }
    Ok(Ending::Done)
}

fn read(path: &Path) -> anyhow::Result<Column> {
    let file = if path.is_dir() { path.join("report.json") } else { path.to_path_buf() };
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read the report {}", file.display()))?;
    if text.trim() == "null" {
        bail!(
            "{} is empty, because this net was not evaluated; run holdfast-trainer evaluate --out FILE on it and compare \
             that file",
            file.display()
        );
    }
    let report: Report =
        serde_json::from_str(&text).with_context(|| format!("{} is no evaluation report", file.display()))?;
    Ok(Column { name: name(&file), report })
}

/// `robust` for `nets/robust/report.json`, `today` for `today.json`.
fn name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    let folder = file.parent().and_then(Path::file_name).filter(|_| stem == "report");
    folder.unwrap_or(stem).to_string_lossy().into_owned()
}

fn protocol(report: &Report) -> &'static str {
    match report.protocol {
        Protocol::LeaveOneOut => "each picture among the others",
        Protocol::QueryGallery => "queries in a separate gallery",
    }
}

/// What was measured differently.
fn differences(columns: &[Column]) -> Vec<String> {
    let differ = |what: &str, value: &dyn Fn(&Report) -> String| {
        let values: Vec<String> = columns.iter().map(|column| value(&column.report)).collect();
        let different = values.iter().any(|value| *value != values[0]);
        different.then(|| format!("{what} differs ({})", values.join(", ")))
    };
    let budget = |report: &Report| {
        let profile = &report.profile;
        format!("epsilon {} alpha {} steps {} batch {}", profile.epsilon, profile.alpha, profile.steps, profile.batch)
    };
    [
        differ("the conformance of the attacks", &|report| report.profile.conformance.to_string()),
        differ("the protocol", &|report| protocol(report).to_owned()),
        differ("the budget of the attacks", &budget),
        differ("the size of the gallery", &|report| report.gallery.to_string()),
        differ("the number of queries", &|report| report.queries.to_string()),
        differ("the seed", &|report| report.seed.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect()
}
