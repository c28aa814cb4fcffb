//! A training run as a picture: loss and hardness over steps, in SVG.

use std::ops::Range;

use holdfast_trainer::step_log::StepLog;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const SIZE: (u32, u32) = (960, 760);
const FONT: &str = "Helvetica, Arial, sans-serif";
const PAPER: RGBColor = RGBColor(0xFC, 0xFB, 0xF8);
const TEXT: RGBColor = RGBColor(0x33, 0x38, 0x42);
const GRID: RGBColor = RGBColor(0xE4, 0xE1, 0xDA);
const BLUE: RGBColor = RGBColor(0x1F, 0x6F, 0xB5);
const RED: RGBColor = RGBColor(0xD2, 0x47, 0x30);
const GREEN: RGBColor = RGBColor(0x2F, 0x80, 0x4E);
const VIOLET: RGBColor = RGBColor(0x7B, 0x5A, 0xB5);

/// A quantity of every step; steps without it are left out.
struct Curve<'a> {
    label: &'a str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Draws a run; one without steps has empty axes. Each curve is a running mean over the steps as they are, which stay visible as a
/// pale line.
///
/// # Errors
/// If plotting fails; the message is plotters'.
pub fn draw(title: &str, log: &[StepLog]) -> Result<String, String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&PAPER).map_err(describe)?;
        let heading = root.margin(10, 6, 0, 0).titled(title, (FONT, 22).into_font().color(&TEXT)).map_err(describe)?;
        let (upper, lower) = heading.split_vertically(heading.dim_in_pixel().1 / 2);
        panel(&upper, "loss", &losses(log)).map_err(describe)?;
        panel(&lower, "hardness  d(a, p) − d(a, n)", &hardnesses(log)).map_err(describe)?;
        root.present().map_err(describe)?;
    }
    Ok(svg)
}

fn describe(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn curve<'a>(label: &'a str, colour: RGBColor, log: &[StepLog], value: fn(&StepLog) -> Option<f64>) -> Curve<'a> {
    let points = log.iter().filter_map(|entry| Some((entry.step as f64, value(entry)?))).collect();
    Curve { label, colour, points }
}

fn losses(log: &[StepLog]) -> Vec<Curve<'static>> {
    let mut curves = vec![curve("loss", BLUE, log, |entry| Some(entry.loss))];
    // Without a second term, the triplet loss is the loss.
    let terms = [
        curve("triplet", GREEN, log, |entry| entry.intra_class.map(|_| entry.triplet)),
        curve("intra-class structure", VIOLET, log, |entry| entry.intra_class),
    ];
    curves.extend(terms.into_iter().filter(|curve| !curve.points.is_empty()));
    curves
}

fn hardnesses(log: &[StepLog]) -> Vec<Curve<'static>> {
    let curves = [
        curve("mined", BLUE, log, |entry| Some(entry.source_hardness)),
        curve("after the attack", RED, log, |entry| entry.adversarial_hardness),
        curve("destination", GREEN, log, |entry| entry.destination_hardness),
    ];
    curves.into_iter().filter(|curve| !curve.points.is_empty()).collect()
}

fn panel(area: &Area<'_>, name: &str, curves: &[Curve<'_>]) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let (steps, values) = ranges(curves);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(24)
        .x_label_area_size(40)
        .y_label_area_size(66)
        .build_cartesian_2d(steps, values)?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc(name)
        .x_label_formatter(&|step| format!("{step:.0}"))
        // Adding zero turns −0 into 0.
        .y_label_formatter(&|value| format!("{:.2}", (value * 100.0).round() / 100.0 + 0.0))
        .label_style((FONT, 14).into_font().color(&TEXT))
        .axis_desc_style((FONT, 15).into_font().color(&TEXT))
        .axis_style(GRID.stroke_width(1))
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for curve in curves {
        lines(&mut chart, curve)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(12)
        .legend_area_size(26)
        .background_style(PAPER.mix(0.85))
        .border_style(GRID)
        .label_font((FONT, 14).into_font().color(&TEXT))
        .draw()
}

fn lines(chart: &mut Chart<'_, '_>, curve: &Curve<'_>) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let colour = curve.colour;
    chart.draw_series(LineSeries::new(curve.points.iter().copied(), colour.mix(0.22).stroke_width(1)))?;
    chart
        .draw_series(LineSeries::new(smooth(&curve.points), colour.stroke_width(2)))?
        .label(curve.label)
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
    Ok(())
}

/// A running mean with a memory of a thirtieth of the run, started at the first value.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let memory = (points.len() as f64 / 30.0).max(1.0);
    let mut mean = points.first().map_or(0.0, |&(_, value)| value);
    let mut step = |&(at, value): &(f64, f64)| {
        mean += (value - mean) / memory;
        (at, mean)
    };
    points.iter().map(&mut step).collect()
}

/// What the axes show: all steps, and all values with a little room; never empty.
fn ranges(curves: &[Curve<'_>]) -> (Range<f64>, Range<f64>) {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let last = points().map(|&(step, _)| step).fold(2.0, f64::max);
    let lowest = points().map(|&(_, value)| value).fold(f64::INFINITY, f64::min);
    let highest = points().map(|&(_, value)| value).fold(f64::NEG_INFINITY, f64::max);
    if lowest > highest {
        return (1.0..last, 0.0..1.0);
    }
    let room = ((highest - lowest) * 0.08).max(1e-3);
    (1.0..last, lowest - room..highest + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(step: usize) -> StepLog {
        let progress = step as f64 / 300.0;
        let wave = (step as f64 * 1.7).sin() * 0.04;
        StepLog {
            step,
            loss: 0.6 - 0.4 * progress + wave,
            triplet: 0.4 - 0.3 * progress + wave,
            intra_class: Some(0.4 - 0.2 * progress - wave),
            source_hardness: -0.3 * progress + wave,
            destination_hardness: Some(-0.1 * progress),
            adversarial_hardness: Some(0.2 - 0.2 * progress + wave),
            pgd_steps: 8,
            seconds: 1.0,
            pictures: 128,
        }
    }

    #[test]
    fn the_picture_names_the_run_its_axes_and_every_curve() {
        let log: Vec<StepLog> = (1..=300).map(entry).collect();

        let svg = draw("HM[S,gLGA] on toys", &log).unwrap();

        for text in [
            "HM[S,gLGA] on toys",
            "step",
            "hardness",
            "loss",
            "triplet",
            "intra-class",
            "after the attack",
            "destination",
        ] {
            assert!(svg.contains(text), "{text} is missing");
        }
    }

    #[test]
    fn a_run_of_one_step_without_attack_can_be_drawn() {
        let alone = StepLog { intra_class: None, destination_hardness: None, adversarial_hardness: None, ..entry(1) };

        let svg = draw("short", &[alone]).unwrap();

        assert!(svg.contains("mined") && !svg.contains("destination"), "{svg}");
    }

    #[test]
    fn a_run_without_steps_can_be_drawn() {
        assert!(draw("nothing yet", &[]).unwrap().contains("nothing yet"));
    }

    #[test]
    fn smoothing_keeps_a_constant_and_calms_a_wave() {
        let constant: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i), 0.5)).collect();
        let wave: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i), f64::from(i % 2))).collect();

        assert_eq!(smooth(&constant), constant);
        assert!(smooth(&wave)[50..].iter().all(|&(_, value)| (0.3..0.7).contains(&value)));
    }
}
