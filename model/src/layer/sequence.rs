//! One layer after another.

use std::sync::Arc;

use super::Layer;
use candle_core::{Result, Tensor};
use holdfast_ops::Pullback;

/// The composition of its layers, the first applied first. Without layers it is the identity. Clones share the layers.
#[derive(Clone)]
pub(crate) struct Sequence(Arc<[Box<dyn Layer>]>);

impl Sequence {
    pub(crate) fn new(layers: Vec<Box<dyn Layer>>) -> Self {
        Self(layers.into())
    }
}

impl Layer for Sequence {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.forward(&x))
    }

    fn train(&self, x: &Tensor) -> Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.train(&x))
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        let (mut x, mut pullbacks) = (x.clone(), Vec::with_capacity(self.0.len()));
        for layer in self.0.iter() {
            let (value, pullback) = layer.differentiate(&x)?;
            pullbacks.push(pullback);
            x = value;
        }
        let back = |gradient: &Tensor| {
            // Each is gone, with what it held, before the next is called.
            pullbacks.into_iter().rev().try_fold(gradient.clone(), |gradient, pullback| pullback(&gradient))
        };
        Ok((x, Box::new(back)))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// x · factor, whose pullback holds memory and wants that of the layers above it to be free.
    struct Holding {
        factor: f64,
        memory: Arc<()>,
        above: Vec<Arc<()>>,
    }

    impl Layer for Holding {
        fn forward(&self, x: &Tensor) -> Result<Tensor> {
            x * self.factor
        }

        fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
            let (held, above, factor) = (Arc::clone(&self.memory), self.above.clone(), self.factor);
            let back = move |gradient: &Tensor| {
                let _alive = held;
                // Each memory is held by the test, its layer, and here once or twice; not by its pullback any more.
                assert!(
                    above.iter().all(|memory| Arc::strong_count(memory) == 4),
                    "a pullback above still holds memory"
                );
                gradient * factor
            };
            Ok((self.forward(x)?, Box::new(back)))
        }
    }

    #[test]
    fn gradients_flow_backwards_and_free_what_they_have_passed() {
        let (lower, upper) = (Arc::new(()), Arc::new(()));
        let first = Holding { factor: 2.0, memory: Arc::clone(&lower), above: vec![Arc::clone(&upper)] };
        let second = Holding { factor: 5.0, memory: Arc::clone(&upper), above: vec![] };
        let sequence = Sequence::new(vec![Box::new(first), Box::new(second)]);
        let x = Tensor::new(&[1.0, 3.0], &Device::Cpu).unwrap();

        let (value, pullback) = sequence.differentiate(&x).unwrap();
        let gradient = pullback(&Tensor::new(&[1.0, -1.0], &Device::Cpu).unwrap()).unwrap();

        assert_eq!(value.to_vec1::<f64>().unwrap(), [10.0, 30.0]);
        assert_eq!(gradient.to_vec1::<f64>().unwrap(), [10.0, -10.0]);
        assert_eq!(Arc::strong_count(&lower), 2, "only this test and the layer hold it now");
    }

    #[test]
    fn without_layers_it_is_the_identity() {
        let x = Tensor::new(&[1.0, 3.0], &Device::Cpu).unwrap();

        let (value, pullback) = Sequence::new(Vec::new()).differentiate(&x).unwrap();

        assert_eq!(value.to_vec1::<f64>().unwrap(), [1.0, 3.0]);
        assert_eq!(pullback(&x).unwrap().to_vec1::<f64>().unwrap(), [1.0, 3.0]);
    }
}
