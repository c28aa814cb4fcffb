//! Batch normalization with the batch's own statistics.

use crate::Pullback;
use crate::host::{Real, cuda_kernel, slice, storage, with_real};
use crate::rows::{fill_rows, last_axis, same_shape, sum_rows};
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// A batch that was normalized, and what running statistics are updated with.
pub struct BatchNorm {
    /// (…, C), differentiable.
    pub result: Tensor,
    /// The mean of every channel (C), without a gradient.
    pub mean: Tensor,
    /// The unbiased variance of every channel (C), without a gradient.
    pub variance: Tensor,
}

/// (x − mean) / √(variance + epsilon) · weight + bias, mean and biased variance of every channel over the batch:
/// x (…, C), weight (C), bias (C) → (…, C).
///
/// The gradient goes through the statistics too. A batch norm with frozen statistics is [`affine`](crate::affine()).
///
/// Source: Ioffe & Szegedy, Batch Normalization, arXiv 1502.03167; PyTorch's `batch_norm` in training mode.
///
/// # Errors
/// If the shapes do not fit, there are fewer than two values a channel, or the element type is neither `f32` nor `f64`.
pub fn batch_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<BatchNorm> {
    let (x, parameters) = (x.contiguous()?, parameters(x, weight, bias)?);
    let statistics = x.apply_op1_no_bwd(&Statistics)?;
    let result = x.apply_op3(&parameters, &statistics, Normalize { epsilon })?;
    BatchNorm::new(result, &statistics)
}

/// [`batch_norm`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`batch_norm`].
pub fn batch_norm_with_pullback(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Result<(BatchNorm, Pullback)> {
    let (x, parameters) = (x.detach().contiguous()?, parameters(x, weight, bias)?.detach());
    let statistics = x.apply_op1_no_bwd(&Statistics)?;
    let result = x.apply_op3_no_bwd(&parameters, &statistics, &Normalize { epsilon })?;
    let batch_norm = BatchNorm::new(result, &statistics)?;
    let pullback = move |gradient: &Tensor| {
        let gradient = gradient.contiguous()?;
        let of_parameters = gradient.apply_op3_no_bwd(&x, &statistics, &ParameterGradient { epsilon })?;
        input_gradient(&x, &parameters, &statistics, &of_parameters, &gradient, epsilon)
    };
    Ok((batch_norm, Box::new(pullback)))
}

impl BatchNorm {
    fn new(result: Tensor, statistics: &Tensor) -> Result<Self> {
        let count = (result.elem_count() / statistics.dims()[1]) as f64;
        let (mean, biased) = (statistics.get(0)?, statistics.get(1)?);
        Ok(Self { result, mean, variance: (biased * (count / (count - 1.0)))? })
    }
}

/// Weight and bias as one tensor (2, C), because candle's operations take at most three.
fn parameters(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let channels = last_axis("batch_norm", x.dims())?;
    if x.elem_count() < 2 * channels {
        bail!("batch_norm: a variance needs at least two values a channel, got the shape {:?}", x.dims());
    }
    for (name, values) in [("weight", weight), ("bias", bias)] {
        if values.dims() != [channels] {
            bail!("batch_norm: a {name} of {channels} values is needed, got {:?}", values.dims());
        }
    }
    Tensor::stack(&[weight, bias], 0)
}

fn input_gradient(
    x: &Tensor,
    parameters: &Tensor,
    statistics: &Tensor,
    of_parameters: &Tensor,
    gradient: &Tensor,
    epsilon: f64,
) -> Result<Tensor> {
    let per_channel = Tensor::cat(&[&parameters.detach(), statistics, of_parameters], 0)?;
    gradient.apply_op3_no_bwd(x, &per_channel, &InputGradient { epsilon })
}

/// The rows of a tensor (N, C).
fn channels<T, const N: usize>(values: &[T]) -> [&[T]; N] {
    let channels = values.len() / N;
    std::array::from_fn(|row| &values[row * channels..][..channels])
}

/// x (…, C) → mean and biased variance of every channel (2, C).
struct Statistics;

impl CustomOp1 for Statistics {
    fn name(&self) -> &'static str {
        "batch-norm-statistics"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let channels = last_axis("batch_norm", layout.dims())?;
        let result = with_real!(x, T => storage(statistics::<T>(slice(x, layout)?, channels)));
        Ok((result, Shape::from((2, channels))))
    }

    cuda_kernel!(self, x layout => crate::cuda::batch_norm_statistics((x, layout)));
}

/// One pass over memory: sums of x − a and of (x − a)², where a is the first row. Without it, the difference of two
/// large sums would have few digits where the mean is large against the deviation.
fn statistics<T: Real>(x: &[T], channels: usize) -> Vec<T> {
    let anchor: Vec<f64> = x[..channels].iter().map(|value| value.to_f64()).collect();
    let sums = sum_rows(
        x.len() / channels,
        channels,
        2 * channels,
        #[inline(always)]
        |rows, sums: &mut [f64]| {
            let (sums, squares) = sums.split_at_mut(channels);
            for row in x[rows.start * channels..rows.end * channels].chunks_exact(channels) {
                for (((sum, square), x), anchor) in sums.iter_mut().zip(squares.iter_mut()).zip(row).zip(&anchor) {
                    let difference = x.to_f64() - anchor;
                    *sum += difference;
                    *square += difference * difference;
                }
            }
        },
    );
    let (count, (sums, squares)) = ((x.len() / channels) as f64, sums.split_at(channels));
    let means = anchor.iter().zip(sums).map(|(anchor, sum)| anchor + sum / count);
    let variances = sums.iter().zip(squares).map(|(sum, square)| (square - sum * sum / count).max(0.0) / count);
    means.chain(variances).map(T::from_f64).collect()
}

/// (x, parameters (2, C), statistics (2, C)) → result.
struct Normalize {
    epsilon: f64,
}

impl CustomOp3 for Normalize {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        p: &CpuStorage,
        p_layout: &Layout,
        s: &CpuStorage,
        s_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(x, T => {
            let (x, p, s) = (slice::<T>(x, x_layout)?, slice(p, p_layout)?, slice(s, s_layout)?);
            storage(normalized(x, channels(p), channels(s), self.epsilon))
        });
        Ok((result, x_layout.shape().clone()))
    }

    cuda_kernel!(self, x x_layout, p p_layout, s s_layout => {
        crate::cuda::batch_norm((x, x_layout), (p, p_layout), (s, s_layout), self.epsilon)
    });

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        statistics: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (gradient, epsilon) = (gradient.contiguous()?, self.epsilon);
        let of_parameters = gradient.apply_op3_no_bwd(x, statistics, &ParameterGradient { epsilon })?;
        let of_x = || input_gradient(x, parameters, statistics, &of_parameters, &gradient, epsilon);
        let of_x = x.track_op().then(of_x).transpose()?;
        Ok((of_x, parameters.track_op().then_some(of_parameters), None))
    }
}

fn inverse<T: Real>(variance: T, epsilon: f64) -> f64 {
    1.0 / (variance.to_f64() + epsilon).sqrt()
}

fn normalized<T: Real>(x: &[T], [weight, bias]: [&[T]; 2], [mean, variance]: [&[T]; 2], epsilon: f64) -> Vec<T> {
    let scale = weight.iter().zip(variance).map(|(w, &variance)| T::from_f64(w.to_f64() * inverse(variance, epsilon)));
    let scale: Vec<T> = scale.collect();
    let row_len = scale.len();
    fill_rows(
        x.len(),
        row_len,
        #[inline(always)]
        |row, out: &mut [T]| {
            let x = &x[row * row_len..][..row_len];
            let parameters = scale.iter().zip(mean).zip(bias);
            for ((out, &x), ((&scale, &mean), &bias)) in out.iter_mut().zip(x).zip(parameters) {
                *out = (x - mean) * scale + bias;
            }
        },
    )
}

/// (upstream gradient, x, statistics (2, C)) → gradients of weight and bias (2, C).
struct ParameterGradient {
    epsilon: f64,
}

impl CustomOp3 for ParameterGradient {
    fn name(&self) -> &'static str {
        "batch-norm-gradient-of-parameters"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
        s: &CpuStorage,
        s_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        same_shape("the gradient of batch_norm", x_layout.dims(), g_layout.dims())?;
        let result = with_real!(g, T => {
            let (g, x, s) = (slice::<T>(g, g_layout)?, slice(x, x_layout)?, slice(s, s_layout)?);
            storage(parameter_gradient(g, x, channels(s), self.epsilon))
        });
        Ok((result, s_layout.shape().clone()))
    }

    cuda_kernel!(self, g g_layout, x x_layout, s s_layout => {
        let (g, x, s) = ((g, g_layout), (x, x_layout), (s, s_layout));
        crate::cuda::batch_norm_gradient_of_parameters(g, x, s, self.epsilon)
    });
}

/// Σ g · (x − mean) / √(variance + epsilon), and Σ g.
fn parameter_gradient<T: Real>(g: &[T], x: &[T], [mean, variance]: [&[T]; 2], epsilon: f64) -> Vec<T> {
    let channels = mean.len();
    let mut sums = sum_rows(
        x.len() / channels,
        channels,
        2 * channels,
        #[inline(always)]
        |rows, sums: &mut [f64]| {
            let (of_weight, of_bias) = sums.split_at_mut(channels);
            let elements = rows.start * channels..rows.end * channels;
            let rows = g[elements.clone()].chunks_exact(channels).zip(x[elements].chunks_exact(channels));
            for (g, x) in rows {
                let sums = of_weight.iter_mut().zip(of_bias.iter_mut());
                for ((((of_weight, of_bias), g), x), mean) in sums.zip(g).zip(x).zip(mean) {
                    *of_weight += g.to_f64() * (x.to_f64() - mean.to_f64());
                    *of_bias += g.to_f64();
                }
            }
        },
    );
    sums.iter_mut().zip(variance).for_each(|(of_weight, &variance)| *of_weight *= inverse(variance, epsilon));
    sums.into_iter().map(T::from_f64).collect()
}

/// (upstream gradient, x, parameters and statistics and gradients of the parameters (6, C)) → gradient of x.
struct InputGradient {
    epsilon: f64,
}

impl CustomOp3 for InputGradient {
    fn name(&self) -> &'static str {
        "batch-norm-gradient"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
        c: &CpuStorage,
        c_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(g, T => {
            let (g, x) = (slice::<T>(g, g_layout)?, slice(x, x_layout)?);
            storage(of_input(g, x, channels(slice(c, c_layout)?), self.epsilon))
        });
        Ok((result, x_layout.shape().clone()))
    }

    cuda_kernel!(self, g g_layout, x x_layout, c c_layout => {
        crate::cuda::batch_norm_gradient((g, g_layout), (x, x_layout), (c, c_layout), self.epsilon)
    });
}

/// With n the normalized x, N values a channel and s = weight / √(variance + epsilon):
/// s (g − Σ g / N − n Σ (g n) / N), which is s g + slope (x − mean) + shift.
fn of_input<T: Real>(
    g: &[T],
    x: &[T],
    [weight, _, mean, variance, of_weight, of_bias]: [&[T]; 6],
    epsilon: f64,
) -> Vec<T> {
    let (row_len, count) = (mean.len(), (x.len() / mean.len()) as f64);
    let per_channel = |value: &dyn Fn(usize, f64) -> f64| -> Vec<T> {
        let inverses = variance.iter().map(|&variance| inverse(variance, epsilon)).enumerate();
        inverses.map(|(channel, inverse)| T::from_f64(value(channel, inverse))).collect()
    };
    let scale = per_channel(&|c, inverse| weight[c].to_f64() * inverse);
    let slope = per_channel(&|c, inverse| -weight[c].to_f64() * inverse * inverse * of_weight[c].to_f64() / count);
    let shift = per_channel(&|c, inverse| -weight[c].to_f64() * inverse * of_bias[c].to_f64() / count);
    fill_rows(
        x.len(),
        row_len,
        #[inline(always)]
        |row, out: &mut [T]| {
            let (g, x) = (&g[row * row_len..][..row_len], &x[row * row_len..][..row_len]);
            let channels = scale.iter().zip(&slope).zip(&shift).zip(mean);
            for (((out, &g), &x), (((&scale, &slope), &shift), &mean)) in out.iter_mut().zip(g).zip(x).zip(channels) {
                *out = scale * g + slope * (x - mean) + shift;
            }
        },
    )
}
