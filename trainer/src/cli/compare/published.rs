//! The rows of published tables, and one's own reports in their form.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Context;
use clap::ValueEnum;
use holdfast_attack::{ERS_TERMS, Report, ers};
use serde::Deserialize;

/// The published results that this program knows, as they stand in the repository.
const TABLES: &str = include_str!("../../../../configs/published.toml");

/// A data set with published results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Paper {
    /// CUB-200-2011, ResNet-18.
    Cub,
    /// CARS-196, ResNet-18.
    Cars,
    /// Stanford Online Products, ResNet-18.
    Sop,
    /// Fashion-MNIST, C2F2.
    Fashion,
}

/// The published results on one data set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The data set's name.
    pub title: String,
    /// Where the numbers were printed.
    pub source: String,
    /// The attacks' profile.
    pub profile: String,
    /// One row a net.
    pub rows: Vec<Published>,
}

/// One published net.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// As the paper writes it.
    pub defense: String,
    /// Steps of the inner attack while training; 0 without one.
    pub steps: usize,
    pub recall_at_1: f64,
    pub recall_at_2: f64,
    pub mean_average_precision: f64,
    /// What the ten attacks reached, in the order of [`ERS_TERMS`].
    pub raw: [f64; ERS_TERMS.len()],
    pub ers: f64,
}

impl Paper {
    /// The table of this data set.
    ///
    /// # Errors
    /// If the table in this program is broken.
    pub fn table(self) -> anyhow::Result<Table> {
        let mut tables: BTreeMap<String, Table> = toml::from_str(TABLES).context("reading the published tables")?;
        let name = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        tables.remove(&name).with_context(|| format!("there is no published table \"{name}\""))
    }
}

impl Published {
    /// The defense with the steps of its inner attack: `ACT[R], 8 steps`.
    pub fn name(&self) -> String {
        if self.steps == 0 { self.defense.clone() } else { format!("{}, {} steps", self.defense, self.steps) }
    }

    /// The score of an attack, 0 to 100.
    pub fn score(&self, term: &str) -> Option<f64> {
        let position = ERS_TERMS.iter().position(|known| *known == term)?;
        ers::score(term, self.raw[position])
    }
}

/// A line of the table: R@1, R@2, mAP, the ten attacks, ERS.
struct Line {
    name: String,
    values: Vec<Option<f64>>,
}

/// Writes one's own reports above the published rows, every number as published tables print it.
///
/// # Errors
/// If the output refuses.
pub fn write(out: &mut dyn Write, table: &Table, reports: &[(&str, &Report)]) -> std::io::Result<()> {
    let ours = reports.iter().map(|(name, report)| line_of_report(name, report));
    let theirs = table.rows.iter().map(line_of_published);
    let lines: Vec<Line> = ours.chain(theirs).collect();
    let heads = ["R@1", "R@2", "mAP"].into_iter().chain(ERS_TERMS).chain(["ERS"]);
    let label_width = lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);

    writeln!(out, "\n{} as published: {}", table.title, table.source)?;
    write!(out, "{:label_width$}", "")?;
    for head in heads {
        write!(out, " {head:>6}")?;
    }
    writeln!(out)?;
    for (at, line) in lines.iter().enumerate() {
        if at == reports.len() {
            writeln!(out, "{}", "-".repeat(label_width + 7 * line.values.len()))?;
        }
        write!(out, "{:label_width$}", line.name)?;
        for (column, value) in line.values.iter().enumerate() {
            write!(out, " {:>6}", printed(column, *value))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn line_of_report(name: &str, report: &Report) -> Line {
    let mut values = vec![Some(report.recall_at_1), Some(report.recall_at_2), Some(report.mean_average_precision)];
    values.extend(ERS_TERMS.map(|term| report.attacks.get(term).map(|attack| attack.raw)));
    values.push(report.ers);
    Line { name: name.to_owned(), values }
}

fn line_of_published(row: &Published) -> Line {
    let mut values = vec![row.recall_at_1, row.recall_at_2, row.mean_average_precision];
    values.extend(row.raw);
    values.push(row.ers);
    Line { name: row.name(), values: values.into_iter().map(Some).collect() }
}

/// Cosines (TMA) and distances (ES:D) have three decimals, percentages one.
fn printed(column: usize, value: Option<f64>) -> String {
    let term = column.checked_sub(3).and_then(|term| ERS_TERMS.get(term));
    match (value, term) {
        (None, _) => "-".to_owned(),
        (Some(value), Some(&("TMA" | "ES:D"))) => format!("{value:.3}"),
        (Some(value), _) => format!("{value:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_row_agrees_with_its_own_robustness_score() {
        for paper in Paper::value_variants() {
            let table = paper.table().unwrap();
            assert!(table.rows.len() >= 6, "{}", table.title);
            for row in &table.rows {
                let scores: Vec<f64> = ERS_TERMS.iter().map(|term| row.score(term).unwrap()).collect();
                let mean = scores.iter().sum::<f64>() / scores.len() as f64;
                // Ten rounded terms and a rounded mean.
                assert!((mean - row.ers).abs() < 0.16, "{}, {}: {mean} and {}", table.title, row.name(), row.ers);
            }
        }
    }

    #[test]
    fn published_rows_are_printed_as_they_were() {
        let mut text = Vec::new();

        write(&mut text, &Paper::Cub.table().unwrap(), &[]).unwrap();

        let text = String::from_utf8(text).unwrap();
        let act = text.lines().find(|line| line.starts_with("ACT[R], 8 steps")).unwrap();
        let numbers: Vec<&str> = act.split_whitespace().skip(3).collect();
        let expected = "30.6 40.1 16.5 13.7 46.8 12.6 39.3 0.547 0.902 13.6 9.8 21.9 1.3 31.3";
        assert_eq!(numbers.join(" "), expected);
    }
}
