//! Scaled dot-product attention.

use crate::Pullbacks;
use crate::elementary::Elementary;
use crate::host::{Real, cuda_kernel, slice, storage, with_real};
use crate::rows::vectorize;
use crate::small_product::{View, multiply};
use crate::softmax::{softmax_row, softmax_row_gradient};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// softmax(scale · q kᵀ) v for every head: q, k and v (B, heads, T, d) → (B, heads, T, d).
///
/// The (T, T) weights of one head live no longer than that head is worked on; the gradient computes them again.
///
/// Source: Vaswani et al., Attention Is All You Need, equation 1, whose scale is 1 / √d.
///
/// # Errors
/// If the shapes differ or have an empty axis, or the element type is neither `f32` nor `f64`.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let heads = Heads::new(q, k, v)?;
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, Attention { heads, scale })
}

/// [`attention`], and the gradients of q, k and v given that of the result.
///
/// # Errors
/// As [`attention`].
pub fn attention_with_pullback(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<(Tensor, Pullbacks<3>)> {
    let attention = Attention { heads: Heads::new(q, k, v)?, scale };
    let [q, k, v] = [q, k, v].map(|tensor| tensor.detach().contiguous());
    let (q, k, v) = (q?, k?, v?);
    let result = q.apply_op3_no_bwd(&k, &v, &attention)?;
    let pullback = move |gradient: &Tensor| {
        let all = attention.gradients([&q, &k, &v], gradient, [true; 3])?;
        Ok([all.get(0)?, all.get(1)?, all.get(2)?])
    };
    Ok((result, Box::new(pullback)))
}

/// The sizes of (B, heads, T, d), the first two in one.
#[derive(Clone, Copy)]
struct Heads {
    tokens: usize,
    features: usize,
}

impl Heads {
    fn new(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Self> {
        let (_, _, tokens, features) = q.dims4()?;
        if q.dims() != k.dims() || q.dims() != v.dims() {
            bail!("attention: q, k and v need one shape, got {:?}, {:?} and {:?}", q.dims(), k.dims(), v.dims());
        }
        if tokens * features == 0 {
            bail!("attention: at least one token and feature are needed, got the shape {:?}", q.dims());
        }
        Ok(Self { tokens, features })
    }

    /// Elements of one head of q.
    fn len(&self) -> usize {
        self.tokens * self.features
    }

    fn view<'a, T>(&self, head: &'a [T]) -> View<'a, T> {
        View::new(head, self.tokens, self.features)
    }

    /// Room for the weights of one head.
    fn scratch<T: Real>(&self) -> Vec<T> {
        vec![T::zero(); self.tokens * self.tokens]
    }

    fn weights_view<'a, T>(&self, weights: &'a [T]) -> View<'a, T> {
        View::new(weights, self.tokens, self.tokens)
    }

    /// Writes softmax(scale · q kᵀ) of one head.
    fn weigh<T: Elementary>(&self, q: &[T], k: &[T], scale: T, weights: &mut [T]) {
        multiply(weights, self.view(q), self.view(k).transposed());
        vectorize(
            #[inline(always)]
            || {
                for row in weights.chunks_exact_mut(self.tokens) {
                    row.iter_mut().for_each(|value| *value *= scale);
                    softmax_row(row);
                }
            },
        );
    }
}

#[derive(Clone, Copy)]
struct Attention {
    heads: Heads,
    scale: f64,
}

impl Attention {
    /// The gradients of q, k and v (3, B, heads, T, d); zeros for those that are not `wanted`.
    fn gradients(&self, inputs: [&Tensor; 3], gradient: &Tensor, wanted: [bool; 3]) -> Result<Tensor> {
        let inputs = Tensor::stack(&inputs.map(Tensor::detach), 0)?;
        inputs.apply_op2_no_bwd(&gradient.contiguous()?, &AttentionGradient { attention: *self, wanted })
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn forward<T: Elementary>(q: &[T], k: &[T], v: &[T], heads: Heads, scale: f64) -> CpuStorage {
            let (mut out, len) = (vec![T::zero(); q.len()], heads.len());
            let tasks = out.par_chunks_mut(len).zip(q.par_chunks(len)).zip(k.par_chunks(len).zip(v.par_chunks(len)));
            tasks.for_each_init(
                || heads.scratch(),
                |weights, ((out, q), (k, v))| {
                    heads.weigh(q, k, T::from_f64(scale), weights);
                    multiply(out, heads.weights_view(weights), heads.view(v));
                },
            );
            storage(out)
        }
        let result = with_real!(q, T => {
            let (q, k, v) = (slice::<T>(q, q_layout)?, slice(k, k_layout)?, slice(v, v_layout)?);
            forward(q, k, v, self.heads, self.scale)
        });
        Ok((result, q_layout.shape().clone()))
    }

    cuda_kernel!(self, q q_layout, k k_layout, v v_layout => {
        crate::cuda::attention((q, q_layout), (k, k_layout), (v, v_layout), self.scale)
    });

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let wanted = [q, k, v].map(Tensor::track_op);
        let all = self.gradients([q, k, v], gradient, wanted)?;
        let of = |index: usize| wanted[index].then(|| all.get(index)).transpose();
        Ok((of(0)?, of(1)?, of(2)?))
    }
}

/// (q, k and v (3, B, heads, T, d); upstream gradient) → gradients of q, k and v, stacked too.
struct AttentionGradient {
    attention: Attention,
    wanted: [bool; 3],
}

impl CustomOp2 for AttentionGradient {
    fn name(&self) -> &'static str {
        "attention-gradient"
    }

    fn cpu_fwd(
        &self,
        inputs: &CpuStorage,
        inputs_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(g, T => {
            let (inputs, g) = (slice::<T>(inputs, inputs_layout)?, slice::<T>(g, g_layout)?);
            if inputs.len() != 3 * g.len() {
                bail!("the gradient of attention has the shape {:?}, which is not its result's", g_layout.dims());
            }
            let mut out = vec![0.0; inputs.len()];
            self.backward(thirds(inputs), g, &mut out);
            storage(out)
        });
        Ok((result, inputs_layout.shape().clone()))
    }

    cuda_kernel!(self, inputs inputs_layout, g g_layout => {
        crate::cuda::attention_gradient((inputs, inputs_layout), (g, g_layout), self.attention.scale, self.wanted)
    });
}

fn thirds<T>(stacked: &[T]) -> [&[T]; 3] {
    let (first, rest) = stacked.split_at(stacked.len() / 3);
    let (second, third) = rest.split_at(first.len());
    [first, second, third]
}

impl AttentionGradient {
    /// One task a head.
    fn backward<T: Elementary>(&self, [q, k, v]: [&[T]; 3], g: &[T], out: &mut [T]) {
        let (heads, len) = (self.attention.heads, self.attention.heads.len());
        let (of_q, rest) = out.split_at_mut(q.len());
        let (of_k, of_v) = rest.split_at_mut(q.len());
        let inputs = q.par_chunks(len).zip(k.par_chunks(len)).zip(v.par_chunks(len).zip(g.par_chunks(len)));
        let outputs = of_q.par_chunks_mut(len).zip(of_k.par_chunks_mut(len).zip(of_v.par_chunks_mut(len)));
        let scratch = || (heads.scratch(), heads.scratch());
        outputs.zip(inputs).for_each_init(scratch, |scratch, ((of_q, (of_k, of_v)), ((q, k), (v, g)))| {
            self.head([q, k, v, g], [of_q, of_k, of_v], scratch);
        });
    }

    /// One head: with the weights P, of_v = Pᵀ g and, with S the gradient of the scores, of_q = S k and of_k = Sᵀ q.
    fn head<T: Elementary>(
        &self,
        [q, k, v, g]: [&[T]; 4],
        [of_q, of_k, of_v]: [&mut [T]; 3],
        (weights, scores): &mut (Vec<T>, Vec<T>),
    ) {
        let (heads, scale) = (self.attention.heads, T::from_f64(self.attention.scale));
        let [q_wanted, k_wanted, v_wanted] = self.wanted;
        heads.weigh(q, k, scale, weights);
        if v_wanted {
            let weights = heads.weights_view(weights).transposed();
            multiply(of_v, weights, heads.view(g));
        }
        if !q_wanted && !k_wanted {
            return;
        }
        multiply(scores, heads.view(g), heads.view(v).transposed());
        vectorize(
            #[inline(always)]
            || {
                for (weights, scores) in weights.chunks_exact(heads.tokens).zip(scores.chunks_exact_mut(heads.tokens)) {
                    softmax_row_gradient(weights, scores);
                    scores.iter_mut().for_each(|value| *value *= scale);
                }
            },
        );
        let scores = heads.weights_view(scores);
        if q_wanted {
            multiply(of_q, scores, heads.view(k));
        }
        if k_wanted {
            multiply(of_k, scores.transposed(), heads.view(q));
        }
    }
}
