//! The linear maps that bring one axis of a picture to another size.

/// For each output position the input positions that it is a sum of, with their weights.
pub(crate) struct Resampling {
    inputs: usize,
    sources: Vec<Vec<(usize, f64)>>,
}

impl Resampling {
    fn new(inputs: usize, outputs: usize, sources: impl Fn(usize) -> Vec<(usize, f64)>) -> Self {
        Self { inputs, sources: (0..outputs).map(sources).collect() }
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(crate) fn outputs(&self) -> usize {
        self.sources.len()
    }

    /// (input position, weight) of each term of the sum at `output`.
    pub(crate) fn sources(&self, output: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.sources[output].iter().copied()
    }

    /// The transposed map: from outputs to inputs.
    pub(crate) fn transposed(&self) -> Self {
        let mut sources = vec![Vec::new(); self.inputs];
        for (output, terms) in self.sources.iter().enumerate() {
            for &(input, weight) in terms {
                sources[input].push((output, weight));
            }
        }
        Self { inputs: self.outputs(), sources }
    }
}

/// The input at ⌊output · inputs / outputs⌋. Single precision, as in PyTorch, decides where that is close to a whole.
pub(crate) fn nearest(inputs: usize, outputs: usize) -> Resampling {
    let scale = inputs as f32 / outputs as f32;
    Resampling::new(inputs, outputs, |output| {
        let position = (output as f32 * scale).floor() as usize;
        vec![(position.min(inputs - 1), 1.0)]
    })
}

/// Linear between the two nearest inputs, constant beyond the outermost.
pub(crate) fn bilinear(inputs: usize, outputs: usize, align_corners: bool) -> Resampling {
    Resampling::new(inputs, outputs, |output| {
        let position = match align_corners {
            true if outputs == 1 => 0.0,
            true => output as f64 * ((inputs - 1) as f64 / (outputs - 1) as f64),
            false => centre(inputs, outputs, output).max(0.0),
        };
        let first = (position.floor() as usize).min(inputs - 1);
        let weight = position - first as f64;
        vec![(first, 1.0 - weight), ((first + 1).min(inputs - 1), weight)]
    })
}

/// Cubic over the four nearest inputs; the outermost are repeated beyond the border.
pub(crate) fn bicubic(inputs: usize, outputs: usize) -> Resampling {
    Resampling::new(inputs, outputs, |output| {
        let position = centre(inputs, outputs, output);
        let first = position.floor();
        let inside = |offset: f64| (first + offset).clamp(0.0, (inputs - 1) as f64) as usize;
        [-1.0, 0.0, 1.0, 2.0].map(|offset| (inside(offset), keys((position - first - offset).abs()))).to_vec()
    })
}

/// Where the centre of an output pixel lies among the inputs when both span the same picture.
fn centre(inputs: usize, outputs: usize, output: usize) -> f64 {
    (output as f64 + 0.5) * (inputs as f64 / outputs as f64) - 0.5
}

/// The weight of an input at a distance of 0 to 2 pixels.
fn keys(distance: f64) -> f64 {
    const A: f64 = -0.75;
    let x = distance;
    if x <= 1.0 { ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0 } else { ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A }
}
