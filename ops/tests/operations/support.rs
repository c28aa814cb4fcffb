//! What the tests of all operations share.

use candle_core::{DType, Device, Result, Tensor, Var};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Uniform in [-1, 1], float64. No two elements are equal, so no maximum is tied.
pub fn random(shape: &[usize], rng: &mut ChaCha8Rng) -> Tensor {
    let elements = shape.iter().product();
    let values: Vec<f64> = (0..elements).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

pub fn single(tensor: &Tensor) -> Tensor {
    tensor.to_dtype(DType::F32).unwrap()
}

pub fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

pub fn assert_close(got: &Tensor, want: &[f64], tolerance: f64) {
    let got = flat(got);
    assert_eq!(got.len(), want.len(), "number of elements");
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= tolerance, "element {index}: {got}, expected {want}");
    }
}

/// Asserts that an operation equals its definition in double and in single precision.
pub fn assert_equals_definition(inputs: &[Tensor], want: &[f64], operation: impl Fn(&[Tensor]) -> Result<Tensor>) {
    assert_close(&operation(inputs).unwrap(), want, 1e-12);
    let singles: Vec<Tensor> = inputs.iter().map(single).collect();
    let result = operation(&singles).unwrap();
    assert_eq!(result.dtype(), DType::F32);
    assert_close(&result, want, 1e-5);
}

/// A scalar in which every output element has its own weight.
pub fn weighted_sum(output: &Tensor) -> Result<Tensor> {
    (output * upstream(output))?.sum_all()
}

/// The gradient of [`weighted_sum`].
pub fn upstream(output: &Tensor) -> Tensor {
    random(output.dims(), &mut rng(99)).to_dtype(output.dtype()).unwrap()
}

/// The gradients of `weighted_sum(operation(inputs))`.
pub fn gradients(inputs: &[Tensor], operation: impl Fn(&[Tensor]) -> Result<Tensor>) -> Vec<Tensor> {
    let vars: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let gradients = weighted_sum(&operation(&tensors).unwrap()).unwrap().backward().unwrap();
    vars.iter().map(|var| gradients.get(var).expect("a gradient for every tracked input").clone()).collect()
}

/// Asserts that the gradients of `weighted_sum(operation(inputs))` equal central differences, for every element; and
/// that each of them is the same when no other input is tracked, and then the only one.
pub fn assert_gradients(inputs: &[Tensor], operation: impl Fn(&[Tensor]) -> Result<Tensor>) {
    const STEP: f64 = 1e-5;
    for (which, got) in gradients(inputs, &operation).iter().enumerate() {
        assert_eq!(got.dims(), inputs[which].dims());
        assert_eq!(flat(got), flat(&lone_gradient(inputs, which, &operation)), "input {which}, alone");
        let (got, values) = (flat(got), flat(&inputs[which]));
        for index in 0..values.len() {
            let value_at = |offset: f64| {
                let mut moved = values.clone();
                moved[index] += offset;
                let mut inputs = inputs.to_vec();
                inputs[which] = tensor(&moved, inputs[which].dims());
                weighted_sum(&operation(&inputs).unwrap()).unwrap().to_scalar::<f64>().unwrap()
            };
            let want = (value_at(STEP) - value_at(-STEP)) / (2.0 * STEP);
            assert!(
                (got[index] - want).abs() < 1e-7,
                "input {which}, element {index}: {} but differences say {want}",
                got[index]
            );
        }
    }
}

/// The gradient of input number `which`, which alone is tracked.
fn lone_gradient(inputs: &[Tensor], which: usize, operation: impl Fn(&[Tensor]) -> Result<Tensor>) -> Tensor {
    let var = Var::from_tensor(&inputs[which]).unwrap();
    let mut tensors = inputs.to_vec();
    tensors[which] = var.as_tensor().clone();
    let gradients = weighted_sum(&operation(&tensors).unwrap()).unwrap().backward().unwrap();
    for (other, tensor) in tensors.iter().enumerate().filter(|&(other, _)| other != which) {
        assert!(gradients.get(tensor).is_none(), "a gradient for input {other}, which is not tracked");
    }
    gradients.get(&var).expect("a gradient for the tracked input").clone()
}

/// Asserts that result and pullback are those of the differentiable operation to the last bit, for inputs that are
/// tracked too, and without a graph. The pullback gives the gradients of the first inputs, in order.
pub fn assert_pullback<G: IntoGradients>(
    inputs: &[Tensor],
    operation: impl Fn(&[Tensor]) -> Result<Tensor>,
    with_pullback: impl Fn(&[Tensor]) -> Result<(Tensor, Box<dyn FnOnce(&Tensor) -> Result<G> + Send>)>,
) {
    for inputs in [inputs.to_vec(), inputs.iter().map(single).collect()] {
        let want = gradients(&inputs, &operation);
        let tracked: Vec<Tensor> =
            inputs.iter().map(|input| Var::from_tensor(input).unwrap().as_tensor().clone()).collect();
        let (result, pullback) = with_pullback(&tracked).unwrap();
        assert!(!result.track_op(), "the result hangs on a graph");
        assert_eq!(flat(&result), flat(&operation(&inputs).unwrap()));
        let got = pullback(&upstream(&result)).unwrap().into_gradients();
        for (which, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!(!got.track_op(), "the gradient hangs on a graph");
            assert_eq!((got.dims(), got.dtype()), (want.dims(), want.dtype()));
            assert_eq!(flat(got), flat(want), "gradient {which}");
        }
    }
}

/// What a pullback may return.
pub trait IntoGradients {
    fn into_gradients(self) -> Vec<Tensor>;
}

impl IntoGradients for Tensor {
    fn into_gradients(self) -> Vec<Tensor> {
        vec![self]
    }
}

impl<const N: usize> IntoGradients for [Tensor; N] {
    fn into_gradients(self) -> Vec<Tensor> {
        self.to_vec()
    }
}

/// All index tuples below `sizes`, in row-major order.
pub fn indices<const N: usize>(sizes: [usize; N]) -> impl Iterator<Item = [usize; N]> {
    (0..sizes.iter().product()).map(move |mut flat: usize| {
        let mut index = [0; N];
        for axis in (0..N).rev() {
            index[axis] = flat % sizes[axis];
            flat /= sizes[axis];
        }
        index
    })
}
