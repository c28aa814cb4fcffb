//! The hinge of ranking losses.

use candle_core::Tensor;

use crate::Result;

/// max(0, x), with gradient 0 at 0 where candle's own has 1: a tie is neither won nor lost.
pub(super) fn hinge(x: &Tensor) -> Result<Tensor> {
    let active = x.detach().gt(0.0)?.to_dtype(x.dtype())?;
    Ok((x * active)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn only_violations_pull() {
        let x = Var::new(&[-1.0, 0.0, 2.0], &Device::Cpu).unwrap();

        let y = hinge(x.as_tensor()).unwrap();
        let gradient = y.sum_all().unwrap().backward().unwrap().remove(x.as_tensor()).unwrap();

        assert_eq!(y.to_vec1::<f64>().unwrap(), [0.0, 0.0, 2.0]);
        assert_eq!(gradient.to_vec1::<f64>().unwrap(), [0.0, 0.0, 1.0]);
    }
}
