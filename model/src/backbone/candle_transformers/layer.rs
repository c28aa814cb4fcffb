//! A model of candle-transformers as a layer, and the two sources of parameters that it is built from.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::Init as CandleInit;
use candle_nn::VarBuilder;
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use holdfast_ops::{Pullback, with_pullback};

use super::CandleModel;
use crate::layer::Layer;
use crate::{Init, ParameterSpec};

/// Pixels (B, 3, H, W) in [0, 1] → features (B, F).
pub(super) struct CandleLayer {
    model: CandleModel,
    tensors: BTreeMap<String, Tensor>,
    /// 1 / deviation and −mean / deviation: (1, 3, 1, 1).
    scale: Tensor,
    shift: Tensor,
}

impl CandleLayer {
    /// The model over these tensors, which are all that it asks for.
    pub(super) fn new(model: CandleModel, tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        let like = tensors.values().next().expect("a model has parameters. This is a bug.");
        let channels = |value: &dyn Fn(f64, f64) -> f64| {
            let pairs = model.mean.iter().zip(model.deviation);
            let values: Vec<f64> = pairs.map(|(&mean, deviation)| value(mean.into(), deviation.into())).collect();
            Tensor::new(values, &Device::Cpu)?.reshape((1, (), 1, 1))?.to_dtype(like.dtype())?.to_device(like.device())
        };
        let scale = channels(&|_, deviation| 1.0 / deviation)?;
        let shift = channels(&|mean, deviation| -mean / deviation)?;
        Ok(Self { model, tensors, scale, shift })
    }
}

impl Layer for CandleLayer {
    fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let (dtype, device) = (self.scale.dtype(), self.scale.device().clone());
        let given = Box::new(Given { model: &self.model, tensors: &self.tensors });
        let features = (self.model.build)(VarBuilder::from_backend(given, dtype, device))?;
        features(&pixels.broadcast_mul(&self.scale)?.broadcast_add(&self.shift)?)
    }

    fn differentiate(&self, pixels: &Tensor) -> Result<(Tensor, Pullback)> {
        with_pullback(pixels, |pixels| self.forward(pixels))
    }
}

/// The parameters that a model asks for while it is built, in its order.
///
/// # Errors
/// If it asks for one without a shape, or with an initialisation that we do not know.
pub(super) fn asked_for(model: &CandleModel) -> Result<Vec<ParameterSpec>> {
    let asked = Mutex::default();
    let source = Box::new(Asked { model, asked: &asked });
    drop((model.build)(VarBuilder::from_backend(source, DType::F32, Device::Cpu))?);
    let Answers { specs, absent } = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
    let is_absent = |name: &str| absent.iter().any(|block| name.starts_with(block));
    Ok(specs.into_iter().filter(|spec| !is_absent(&spec.name)).collect())
}

/// Hands out the tensors that there are.
struct Given<'a> {
    model: &'a CandleModel,
    tensors: &'a BTreeMap<String, Tensor>,
}

impl SimpleBackend for Given<'_> {
    fn get(&self, shape: Shape, name: &str, _: CandleInit, dtype: DType, device: &Device) -> Result<Tensor> {
        if is_of_classifier(self.model, name) {
            return identity(&shape, dtype, device);
        }
        // Of the same type and on the same device, so that it is the tensor itself, with its graph.
        match self.tensors.get(name) {
            Some(tensor) => Ok(tensor.clone()),
            None => bail!("{} has no parameter \"{name}\"", self.model.name),
        }
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        bail!("{} asks for \"{name}\" without a shape", self.model.name)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

/// Notes what is asked for, and hands out zeros without memory behind them.
struct Asked<'a> {
    model: &'a CandleModel,
    asked: &'a Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    specs: Vec<ParameterSpec>,
    /// How the names begin of blocks that turned out to have kernels of no pixels: the model goes on without them.
    absent: Vec<String>,
}

impl SimpleBackend for Asked<'_> {
    fn get(&self, shape: Shape, name: &str, init: CandleInit, dtype: DType, device: &Device) -> Result<Tensor> {
        if name.contains(self.model.lacks) {
            bail!("{} has no parameter \"{name}\"", self.model.name);
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let (0, Some(block)) = (shape.elem_count(), name.strip_suffix("conv.weight")) {
            asked.absent.push(block.to_owned());
            bail!("{} has no block \"{block}\"", self.model.name);
        }
        if !is_of_classifier(self.model, name) {
            let spec = ParameterSpec {
                name: name.to_owned(),
                shape: shape.dims().to_vec(),
                init: first_values(name, &shape, init)?,
                trained: !name.contains(".running_"),
            };
            asked.specs.push(spec);
        }
        Tensor::zeros(1, dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        bail!("{} asks for \"{name}\" without a shape", self.model.name)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        !name.contains(self.model.lacks)
    }
}

fn is_of_classifier(model: &CandleModel, name: &str) -> bool {
    model.classifier.is_some_and(|classifier| name.strip_prefix(classifier).is_some_and(|rest| rest.starts_with('.')))
}

/// What stands in for a parameter of the classifier: a matrix with ones on its diagonal, or a bias of zeros.
fn identity(shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
    let [rows, columns] = *shape.dims() else { return Tensor::zeros(shape, dtype, device) };
    let cells = (0..rows * columns).map(|i| if i / columns == i % columns { 1f32 } else { 0.0 });
    Tensor::from_iter(cells, device)?.reshape(shape)?.to_dtype(dtype)
}

/// candle-transformers' initialisation, but for layer scale and tokens, which it takes from published files only.
fn first_values(name: &str, shape: &Shape, init: CandleInit) -> Result<Init> {
    match name.rsplit('.').next() {
        Some("gamma") => return Ok(Init::Constant(1e-5)),
        Some("cls_token" | "pos_embed" | "position_embeddings") => return Ok(Init::Normal(0.02)),
        _ => {}
    }
    Ok(match init {
        CandleInit::Const(value) => Init::Constant(value),
        CandleInit::Randn { mean: 0.0, stdev } => Init::Normal(stdev),
        CandleInit::Uniform { lo, up } if lo == -up => Init::Uniform(up),
        CandleInit::Kaiming { dist, fan, non_linearity } => {
            let deviation = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => Init::Normal(deviation),
                NormalOrUniform::Uniform => Init::Uniform(3f64.sqrt() * deviation),
            }
        }
        other => bail!("\"{name}\" starts by {other:?}, which is not symmetric around 0"),
    })
}
