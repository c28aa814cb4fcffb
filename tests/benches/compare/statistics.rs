//! Medians, quartiles, and the straight line through measured points.

/// The quartiles of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    /// A quarter lies below.
    pub lower: f64,
    /// Half lies below.
    pub median: f64,
    /// Three quarters lie below.
    pub upper: f64,
}

impl Quartiles {
    /// Of at least one value, interpolated between neighbours.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let position = share * (sorted.len() - 1) as f64;
            let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
            below + (above - below) * position.fract()
        };
        Self { lower: at(0.25), median: at(0.5), upper: at(0.75) }
    }
}

/// y = offset + slope · x by least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// y at x = 0.
    pub offset: f64,
    /// Growth of y with x.
    pub slope: f64,
    /// The largest |y − line| as a share of the line.
    pub worst: f64,
}

impl Line {
    /// Through points of at least two different x.
    pub fn through(points: &[(f64, f64)]) -> Self {
        let n = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
        let covariance: f64 = points.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
        let slope = covariance / points.iter().map(|(x, _)| (x - mx).powi(2)).sum::<f64>();
        let offset = my - slope * mx;
        let off = |(x, y): &(f64, f64)| (y / (offset + slope * x) - 1.0).abs();
        Self { offset, slope, worst: points.iter().map(off).fold(0.0, f64::max) }
    }
}
