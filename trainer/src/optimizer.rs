//! Adam with coupled weight decay: the update of the parameters from their gradients.
//!
//! With g the gradient, t the step from 1:
//!
//! ```text
//! g ← g + decay · p        m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²
//! p ← p − rate · m / (1 − β₁ᵗ) / (√v / √(1 − β₂ᵗ) + ε)
//! ```
//!
//! The decay goes through the moments ("L2"), as in PyTorch's `Adam`; decoupling it would be AdamW, another method.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use holdfast_ops::{AdamMoments, AdamRates, adam_step};

use crate::error::{Error, Result};

const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;

/// The two settings of Adam that experiments change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// The step size of a parameter whose gradient keeps its sign.
    pub learning_rate: f64,
    /// How much of a parameter is added to its gradient.
    pub weight_decay: f64,
}

/// The running means of one parameter's gradient and of its square, in the parameter's shape.
#[derive(Clone, Debug)]
pub struct Moments {
    /// m, of the gradient.
    pub first: Tensor,
    /// v, of the gradient's square.
    pub second: Tensor,
}

/// Adam over named parameters in f32 or f64; one pass over memory a parameter and step, on the parameter's device.
pub struct Adam {
    parameters: Vec<Parameter>,
    settings: AdamSettings,
    steps: i32,
}

struct Parameter {
    name: String,
    variable: Var,
    moments: AdamMoments,
}

impl Adam {
    /// An optimizer of these parameters that has made no step.
    ///
    /// # Errors
    /// If the moments do not fit into the memory of the parameters' device.
    pub fn new(parameters: Vec<(String, Var)>, settings: AdamSettings) -> Result<Self> {
        let with_moments =
            |(name, variable): (String, Var)| Ok(Parameter { moments: AdamMoments::zeros(&variable)?, name, variable });
        Ok(Self { parameters: parameters.into_iter().map(with_moments).collect::<Result<_>>()?, settings, steps: 0 })
    }

    /// Moves every parameter once. The values change in place, so that nets which share their storage see them.
    ///
    /// # Errors
    /// If a parameter has no gradient; no parameter has moved then.
    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        let gradients: Vec<Tensor> = self.parameters.iter().map(|p| p.gradient(gradients)).collect::<Result<_>>()?;
        self.steps += 1;
        let rates = self.rates();
        for (parameter, gradient) in self.parameters.iter_mut().zip(&gradients) {
            adam_step(&parameter.variable, gradient, &mut parameter.moments, &rates)?;
        }
        Ok(())
    }

    /// Copies of the moments by the name of their parameter.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn moments(&self) -> Result<BTreeMap<String, Moments>> {
        let copied = self.parameters.iter().map(|parameter| {
            let [first, second] = parameter.moments.tensors(&parameter.variable)?;
            Ok((parameter.name.clone(), Moments { first, second }))
        });
        copied.collect()
    }

    /// Goes on after `steps` steps that led to these moments.
    ///
    /// # Errors
    /// If a parameter has no moments among them, or moments of another shape or type.
    pub fn restore(&mut self, steps: usize, moments: &BTreeMap<String, Moments>) -> Result<()> {
        for parameter in &mut self.parameters {
            let fits = |tensor: &Tensor| {
                tensor.shape() == parameter.variable.shape() && tensor.dtype() == parameter.variable.dtype()
            };
            let theirs = moments.get(&parameter.name).filter(|theirs| fits(&theirs.first) && fits(&theirs.second));
            let Some(theirs) = theirs else {
                return Err(Error::ForeignMoments { name: parameter.name.clone() });
            };
            let device = parameter.variable.device();
            let (first, second) = (theirs.first.to_device(device)?, theirs.second.to_device(device)?);
            parameter.moments = AdamMoments::from_tensors([&first, &second])?;
        }
        // Beyond 2³¹ steps the bias corrections have long been 1.
        self.steps = i32::try_from(steps).unwrap_or(i32::MAX - 1);
        Ok(())
    }

    fn rates(&self) -> AdamRates {
        let (first, second) = BETAS;
        AdamRates {
            weight_decay: self.settings.weight_decay,
            first_decay: first,
            second_decay: second,
            step_size: self.settings.learning_rate / (1.0 - first.powi(self.steps)),
            second_scale: (1.0 - second.powi(self.steps)).sqrt(),
            epsilon: EPSILON,
        }
    }
}

impl Parameter {
    fn gradient(&self, gradients: &GradStore) -> Result<Tensor> {
        let gradient = gradients.get(&self.variable);
        let gradient = gradient.ok_or_else(|| Error::MissingGradient { name: self.name.clone() })?;
        Ok(gradient.clone())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    const SETTINGS: AdamSettings = AdamSettings { learning_rate: 0.1, weight_decay: 0.01 };

    fn variable(values: &[f64], dtype: DType) -> Var {
        Var::from_tensor(&Tensor::new(values, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap()
    }

    /// The gradient of Σ (p − 1)² / 2 is p − 1.
    fn gradients_towards_one(variable: &Var) -> GradStore {
        ((variable.as_tensor() - 1.0).unwrap().sqr().unwrap().sum_all().unwrap() * 0.5).unwrap().backward().unwrap()
    }

    #[test]
    fn the_first_step_is_the_learning_rate_against_the_gradients_sign() {
        for dtype in [DType::F32, DType::F64] {
            let parameter = variable(&[3.0, -2.0], dtype);
            let mut adam = Adam::new(vec![("p".into(), parameter.clone())], SETTINGS).unwrap();

            adam.step(&gradients_towards_one(&parameter)).unwrap();

            let moved = parameter.as_tensor().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
            assert!((moved[0] - 2.9).abs() < 1e-6 && (moved[1] + 1.9).abs() < 1e-6, "{moved:?}");
        }
    }

    #[test]
    fn a_tensor_that_shares_the_parameters_storage_sees_the_step() {
        let parameter = variable(&[3.0], DType::F64);
        let shared = parameter.as_detached_tensor();
        let mut adam = Adam::new(vec![("p".into(), parameter.clone())], SETTINGS).unwrap();

        adam.step(&gradients_towards_one(&parameter)).unwrap();

        assert_eq!(shared.to_vec1::<f64>().unwrap(), parameter.to_vec1::<f64>().unwrap());
        assert_ne!(shared.to_vec1::<f64>().unwrap(), [3.0]);
    }

    #[test]
    fn a_restored_optimizer_goes_on_as_if_it_had_never_paused() {
        let (one, other) = (variable(&[3.0, -2.0], DType::F32), variable(&[3.0, -2.0], DType::F32));
        let mut adam = Adam::new(vec![("p".into(), one.clone())], SETTINGS).unwrap();
        let mut resumed = Adam::new(vec![("p".into(), other.clone())], SETTINGS).unwrap();
        (0..3).for_each(|_| adam.step(&gradients_towards_one(&one)).unwrap());

        other.set(&one.copy().unwrap()).unwrap();
        resumed.restore(3, &adam.moments().unwrap()).unwrap();
        adam.step(&gradients_towards_one(&one)).unwrap();
        resumed.step(&gradients_towards_one(&other)).unwrap();

        assert_eq!(one.to_vec1::<f32>().unwrap(), other.to_vec1::<f32>().unwrap());
        assert_ne!(one.to_vec1::<f32>().unwrap(), [3.0, -2.0]);
    }

    #[test]
    fn moments_of_another_net_are_refused_with_the_parameters_name() {
        let moments = |values: &[f64]| {
            let tensor = Tensor::new(values, &Device::Cpu).unwrap();
            Moments { first: tensor.clone(), second: tensor }
        };
        for theirs in [vec![], vec![("q", &[1.0, 2.0][..])], vec![("p", &[1.0])]] {
            let theirs = theirs.into_iter().map(|(name, values)| (name.to_owned(), moments(values))).collect();
            let mut adam = Adam::new(vec![("p".into(), variable(&[3.0, -2.0], DType::F64))], SETTINGS).unwrap();

            let error = adam.restore(1, &theirs).unwrap_err().to_string();

            assert!(error.contains("\"p\""), "{error}");
        }
    }

    #[test]
    fn a_parameter_without_gradient_is_named_and_nothing_moves() {
        let (used, unused) = (variable(&[3.0], DType::F64), variable(&[5.0], DType::F64));
        let parameters = vec![("used".to_owned(), used.clone()), ("unused".to_owned(), unused)];
        let mut adam = Adam::new(parameters, SETTINGS).unwrap();

        let error = adam.step(&gradients_towards_one(&used)).unwrap_err();

        assert!(error.to_string().contains("\"unused\""), "{error}");
        assert_eq!(used.to_vec1::<f64>().unwrap(), [3.0]);
    }
}
