//! `holdfast import`: progress while it runs, a report at the end.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use holdfast_server::import::{ImportOptions, ImportReport, import};
use indicatif::{ProgressBar, ProgressStyle};

use super::ImportArguments;

/// Rejected pictures that are listed one by one; the rest is counted.
const LISTED: usize = 100;

pub(super) fn run(arguments: &ImportArguments) -> anyhow::Result<ExitCode> {
    let options = ImportOptions {
        source: arguments.source.clone(),
        concurrency: arguments.concurrency.into(),
        batch: arguments.batch.into(),
        report: arguments.report.clone(),
    };
    let started = Instant::now();
    // Draws on a terminal only; elsewhere the report at the end is all there is.
    let bar = ProgressBar::new(0).with_style(style());
    let report = import(&options, &arguments.connection.client(), &|done, found| {
        bar.set_length(found as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let report = report?;
    print(&report, started.elapsed())?;
    Ok(if report.rejected.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("storing {bar:40} {pos}/{len} pictures  {per_sec}  {eta} left")
        .expect("the template is a constant. This is a bug.")
}

fn print(report: &ImportReport, took: Duration) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for rejected in report.rejected.iter().take(LISTED) {
        writeln!(out, "rejected {}: {}", rejected.source, rejected.detail)?;
    }
    if report.rejected.len() > LISTED {
        writeln!(out, "rejected {} more", report.rejected.len() - LISTED)?;
    }
    let seconds = took.as_secs_f64();
    let rate = report.stored() as f64 / seconds.max(f64::EPSILON);
    let unchanged = match report.unchanged {
        0 => String::new(),
        unchanged => format!(", {unchanged} were there already"),
    };
    let (stored, found) = (report.stored(), report.found);
    writeln!(out, "stored {stored} of {found} pictures in {seconds:.1} s ({rate:.0} a second){unchanged}")
}
