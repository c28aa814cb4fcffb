//! `holdfast-trainer compare`: reports side by side, with published ones, as a table and as a picture.

mod plot;
mod published;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use holdfast_attack::{ERS_TERMS, Protocol, Report};
use holdfast_model::atomic;

use super::scores::{self, Column};
use super::{Ending, Screen};
use plot::Subject;
use published::{Paper, Table};

/// Show evaluation reports side by side.
///
/// Scores run from 0 to 100, higher is better for the net; in parentheses what the attack reached, in the unit of
/// published tables. On a terminal the better value of each line is bold.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  holdfast-trainer compare nets/undefended nets/robust/report.json
  With the published nets on CUB, and a picture of the scores and of what they cost:
    holdfast-trainer compare nets/undefended nets/robust --paper cub --plot compare.svg --plot compare.png")]
pub struct Arguments {
    /// Report files, or checkpoint folders that hold a report.json.
    #[arg(required = true, value_name = "REPORT")]
    reports: Vec<PathBuf>,

    /// Show the published results on a data set too.
    #[arg(long, value_name = "DATA SET")]
    paper: Option<Paper>,

    /// Draw the scores, and robustness against retrieval, into this file; its name ends in .svg or .png.
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    plot: Vec<PathBuf>,
}

fn plot_file(name: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(name);
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("svg" | "png") => Ok(file),
        _ => Err("expected a file name that ends in .svg or .png".to_owned()),
    }
}

/// Prints the table, and a warning where the reports measured different things.
///
/// # Errors
/// If a report cannot be read, or a picture cannot be drawn or written.
pub fn run(arguments: &Arguments, screen: &mut Screen) -> anyhow::Result<Ending> {
    let columns = arguments.reports.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let colours = screen.colours;
    scores::write(screen, &columns, colours)?;
    for difference in differences(&columns) {
        writeln!(screen, "note: {difference}, so the columns are not strictly comparable")?;
    }
    let table = arguments.paper.map(Paper::table).transpose()?;
    if let Some(table) = &table {
        let reports: Vec<_> = columns.iter().map(|column| (column.name.as_str(), &column.report)).collect();
        published::write(screen, table, &reports)?;
        for column in columns.iter().filter(|column| column.report.profile.name != table.profile) {
            let (name, profile) = (&column.name, &column.report.profile.name);
            writeln!(
                screen,
                "note: {name} was attacked with the profile {profile}, the paper's nets with {}",
                table.profile
            )?;
        }
    }
    draw(&arguments.plot, &columns, table.as_ref())?;
    Ok(Ending::Done)
}

/// Writes the picture into each of the files.
fn draw(files: &[PathBuf], columns: &[Column], table: Option<&Table>) -> anyhow::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let own = columns.iter().map(|Column { name, report }| Subject {
        name: name.clone(),
        recall_at_1: report.recall_at_1,
        ers: report.ers,
        scores: ERS_TERMS.map(|term| report.attacks.get(term).map(|attack| attack.score)).to_vec(),
        published: false,
    });
    let published = table.iter().flat_map(|table| &table.rows).map(|row| Subject {
        name: row.name(),
        recall_at_1: row.recall_at_1,
        ers: Some(row.ers),
        scores: ERS_TERMS.map(|term| row.score(term)).to_vec(),
        published: true,
    });
    let subjects: Vec<Subject> = own.chain(published).collect();
    let title = table.map_or("Nets under attack".to_owned(), |table| {
        format!("Nets under attack, and those published on {}", table.title)
    });
    let drawing = plot::draw(&title, &subjects);
    for file in files {
        let is_png = file.extension().is_some_and(|extension| extension == "png");
        let bytes = if is_png { drawing.png()? } else { drawing.svg().into_bytes() };
        atomic::write(file, &bytes).with_context(|| format!("cannot write the plot {}", file.display()))?;
        eprintln!("the plot is in {}", file.display());
    }
    Ok(())
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
