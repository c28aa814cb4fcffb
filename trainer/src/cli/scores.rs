//! Reports as a table: one column a net, the better value marked.

use std::collections::BTreeSet;
use std::io::Write;

use holdfast_attack::{Conformance, ERS_TERMS, Report};

const BETTER: &str = "\x1b[1;32m";
const PLAIN: &str = "\x1b[0m";

/// One report under the name of its net.
pub struct Column {
    pub name: String,
    pub report: Report,
}

/// One line: a label and, for each column, a text and the value by which it is ranked, higher is better.
struct Row {
    label: String,
    cells: Vec<Option<(String, f64)>>,
}

/// Writes reports side by side; with `colours`, the best of each line is bold green.
///
/// # Errors
/// If the output refuses.
pub fn write(out: &mut dyn Write, columns: &[Column], colours: bool) -> std::io::Result<()> {
    let rows = rows(columns);
    let label_width = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(|i| width(&columns[i].name, &rows, i)).collect();
    write!(out, "{:label_width$}", "")?;
    for (column, width) in columns.iter().zip(&widths) {
        write!(out, "  {:>width$}", column.name)?;
    }
    writeln!(out)?;
    for row in &rows {
        write!(out, "{:label_width$}", row.label)?;
        let best = best(&row.cells);
        for (cell, &width) in row.cells.iter().zip(&widths) {
            let (text, value) = cell.as_ref().map_or(("-", None), |(text, value)| (text, Some(*value)));
            let marked = colours && value.is_some() && value == best;
            let (on, off) = if marked { (BETTER, PLAIN) } else { ("", "") };
            write!(out, "  {on}{text:>width$}{off}")?;
        }
        writeln!(out)?;
    }
    columns.iter().try_for_each(|column| write_doubts(out, column))
}

/// Why the figures of a report are not to be trusted, one line a reason.
fn write_doubts(out: &mut dyn Write, Column { name, report }: &Column) -> std::io::Result<()> {
    let flags = report.sanity.iter().flat_map(|sanity| &sanity.flags);
    flags.into_iter().try_for_each(|flag| {
        writeln!(out, "warning: {name} looks more robust than it is ({}): {}", flag.suspicion, flag.explanation)
    })
}

/// R@1 of the queries under the attack that hurts it most, in percent; nothing if no attack has queries.
pub fn worst_recall_at_1(report: &Report) -> Option<f64> {
    report.attacks.values().filter_map(|attack| attack.recall_at_1).min_by(f64::total_cmp)
}

fn rows(columns: &[Column]) -> Vec<Row> {
    let row = |label: &str, cell: &dyn Fn(&Report) -> Option<(String, f64)>| Row {
        label: label.to_owned(),
        cells: columns.iter().map(|column| cell(&column.report)).collect(),
    };
    let percent = |value: f64| Some((format!("{value:.1} %"), value));
    let mut rows = vec![
        row("R@1 clean", &|report| percent(report.recall_at_1)),
        row("R@1 under the worst attack", &|report| worst_recall_at_1(report).and_then(percent)),
        row("mAP clean", &|report| percent(report.mean_average_precision)),
        row("NMI clean", &|report| report.normalized_mutual_information.and_then(percent)),
    ];
    let score = |term: &str| {
        row(&format!("score {term} (raw)"), &|report| {
            let attack = report.attacks.get(term)?;
            Some((format!("{:.1} ({})", attack.score, raw(term, attack.raw)), attack.score))
        })
    };
    rows.extend(ERS_TERMS.map(score));
    rows.push(row("ERS", &|report| report.ers.map(|ers| (ers_text(ers, report.profile.conformance), ers))));
    rows.extend(further(columns).into_iter().map(score));
    rows.retain(|row| row.cells.iter().any(Option::is_some));
    rows
}

/// The outcomes that are no terms of the robustness score, each once.
fn further(columns: &[Column]) -> BTreeSet<&str> {
    let names = columns.iter().flat_map(|column| column.report.attacks.keys().map(String::as_str));
    names.filter(|name| !ERS_TERMS.contains(name)).collect()
}

/// Only the reference's reading is called ERS without further words: it is what published tables hold.
fn ers_text(ers: f64, conformance: Conformance) -> String {
    match conformance {
        Conformance::Reference => format!("{ers:.1}"),
        Conformance::Corrected => format!("{ers:.1} corrected"),
    }
}

/// What an attack reached, in the unit of published tables: cosine and distance have none, the others are percentages.
fn raw(term: &str, value: f64) -> String {
    if matches!(term, "TMA" | "ES:D" | "NES:D") { format!("{value:.3}") } else { format!("{value:.1} %") }
}

fn width(name: &str, rows: &[Row], column: usize) -> usize {
    let texts = rows.iter().filter_map(|row| row.cells[column].as_ref()).map(|(text, _)| text.chars().count());
    texts.chain([name.chars().count()]).max().unwrap_or(0)
}

/// The value to mark: the highest, if there is something to compare.
fn best(cells: &[Option<(String, f64)>]) -> Option<f64> {
    let values: Vec<f64> = cells.iter().flatten().map(|(_, value)| *value).collect();
    if values.iter().any(|value| Some(value) != values.first()) {
        values.into_iter().max_by(f64::total_cmp)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use holdfast_attack::sanity::Measured;
    use holdfast_attack::{AttackScore, Averaging, Flag, Profile, Protocol, Sanity, Suspicion};

    use super::*;

    fn column(name: &str, recall: f64, score: f64) -> Column {
        let attack = AttackScore {
            raw: score / 2.0,
            score,
            recall_at_1: Some(score),
            embedding_shift: 0.5,
            model_queries: None,
        };
        let report = Report {
            profile: Profile::preset("rob28").unwrap(),
            protocol: Protocol::LeaveOneOut,
            seed: 0,
            gallery: 100,
            queries: 10,
            averaging: Averaging::BatchMeans,
            recall_at_1: recall,
            recall_at_2: recall,
            mean_average_precision: recall,
            mean_average_precision_at_10: None,
            mean_rank: None,
            normalized_mutual_information: None,
            queries_recall_at_1: recall,
            attacks: BTreeMap::from([("QA+".to_owned(), attack)]),
            ers: None,
            sanity: None,
        };
        Column { name: name.to_owned(), report }
    }

    fn table(columns: &[Column], colours: bool) -> String {
        let mut text = Vec::new();
        write(&mut text, columns, colours).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn columns_stand_under_their_names() {
        let text = table(&[column("undefended", 76.3, 1.6), column("robust", 80.0, 60.0)], false);

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("{:29}undefended         robust", ""));
        assert_eq!(lines[1], "R@1 clean                        76.3 %         80.0 %");
        assert_eq!(lines[2], "R@1 under the worst attack        1.6 %         60.0 %");
        assert_eq!(lines[4], "score QA+ (raw)             1.6 (0.8 %)  60.0 (30.0 %)");
    }

    #[test]
    fn the_worst_attack_is_the_one_that_leaves_least() {
        let mut report = column("net", 80.0, 60.0).report;
        let attack = |recall_at_1| AttackScore { recall_at_1, ..report.attacks["QA+"] };
        let more = [("CA+", attack(None)), ("ES:R", attack(Some(20.0))), ("QA-", attack(Some(40.0)))];
        report.attacks.extend(more.map(|(name, attack)| (name.to_owned(), attack)));

        assert_eq!(worst_recall_at_1(&report), Some(20.0));
    }

    #[test]
    fn what_makes_figures_untrustworthy_is_told_below_the_table() {
        let mut suspect = column("robust", 80.0, 60.0);
        let explanation = "noise does as much".to_owned();
        let flags = vec![Flag { suspicion: Suspicion::NoiseAsStrong, explanation }];
        let measured = Measured {
            zero_gradient_pixels: 0.0,
            zero_gradient_queries: 0.0,
            shift: 0.1,
            shift_half_the_steps: 0.1,
            shift_one_step: 0.1,
            shift_black_box: 0.1,
            shift_noise: 0.1,
            chance_recall_at_1: 10.0,
        };
        suspect.report.sanity = Some(Sanity { queries: 32, measured, flags });

        let text = table(&[column("undefended", 76.3, 1.6), suspect], false);

        let warning = "warning: robust looks more robust than it is (noise is as strong): noise does as much\n";
        assert!(text.ends_with(warning), "{text}");
        assert_eq!(text.matches("warning").count(), 1, "{text}");
    }

    #[test]
    fn further_attacks_stand_below_the_robustness_score_which_says_whose_reading_it_is() {
        let mut net = column("net", 80.0, 60.0);
        let blind =
            AttackScore { raw: 0.5, score: 75.0, recall_at_1: None, embedding_shift: 0.5, model_queries: Some(1600) };
        net.report.attacks.insert("NES:D".to_owned(), blind);
        net.report.ers = Some(31.25);
        net.report.profile.conformance = Conformance::Corrected;

        let text = table(&[net], false);

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[5..],
            ["ERS                         31.2 corrected", "score NES:D (raw)             75.0 (0.500)"],
            "{text}"
        );
    }

    #[test]
    fn only_the_better_value_is_marked_and_equal_ones_are_not() {
        let marked = table(&[column("a", 50.0, 1.6), column("b", 50.0, 60.0)], true);

        assert_eq!(marked.matches(BETTER).count(), 2, "{marked}");
        assert!(marked.contains("\u{1b}[1;32m60.0 (30.0 %)"), "{marked}");
    }
}
