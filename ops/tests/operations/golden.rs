//! PyTorch's values and gradients (`tests/golden/ops.py` writes them).

use crate::support::*;
use candle_core::{Device, Result, Tensor, Var};
use holdfast_ops::*;
use std::collections::HashMap;

/// A case of the file: its name there and the operation that it is a result of.
type Case<'a> = (&'a str, &'a dyn Fn(&[Tensor]) -> Result<Tensor>);

/// Asserts that an operation has the result that PyTorch has, and the gradient of every input.
fn assert_golden(golden: &HashMap<String, Tensor>, (name, operation): &Case<'_>) {
    let get = |key: &str| golden.get(&format!("{name}/{key}"));
    let inputs: Vec<&Tensor> = (0..).map_while(|index| get(&format!("input{index}"))).collect();
    assert!(!inputs.is_empty(), "no case {name}");
    let vars: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();

    let result = operation(&tensors).unwrap();

    let want = get("result").unwrap();
    assert_eq!(result.dims(), want.dims(), "{name}");
    assert_near(&format!("{name}, result"), &result, want);
    let gradients = (result * get("upstream").unwrap()).unwrap().sum_all().unwrap().backward().unwrap();
    for (index, var) in vars.iter().enumerate() {
        let want = get(&format!("gradient{index}")).unwrap();
        assert_near(&format!("{name}, gradient of input {index}"), gradients.get(var).unwrap(), want);
    }
}

fn assert_near(what: &str, got: &Tensor, want: &Tensor) {
    let (got, want) = (flat(got), flat(want));
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1e-3f64, |scale, value| scale.max(value.abs()));
    for (index, (got, want)) in got.iter().zip(&want).enumerate() {
        assert!((got - want).abs() <= 1e-12 * scale, "{what}, element {index}: {got}, PyTorch has {want}");
    }
}

#[test]
fn operations_have_the_values_and_gradients_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/ops.safetensors");
    let golden = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let cases: &[Case<'_>] = &[
        ("affine", &|t| affine(&t[0], &t[1], &t[2])),
        ("affine_relu", &|t| affine_relu(&t[0], &t[1], &t[2])),
        ("affine_add_relu", &|t| affine_add_relu(&t[0], &t[1], &t[2], &t[3])),
        ("relu", &|t| relu(&t[0])),
        ("relu6", &|t| relu6(&t[0])),
        ("add_relu", &|t| add_relu(&t[0], &t[1])),
        ("max_pool2d", &|t| max_pool2d(&t[0], 3, 2, 1)),
        ("avg_pool2d", &|t| avg_pool2d(&t[0], 3, 2, 1, true)),
        ("avg_pool2d_inside", &|t| avg_pool2d(&t[0], 3, 2, 1, false)),
        ("global_avg_pool", &|t| global_avg_pool(&t[0])),
        ("batch_norm", &|t| Ok(batch_norm(&t[0], &t[1], &t[2], 1e-5)?.result)),
        ("layer_norm", &|t| layer_norm(&t[0], &t[1], &t[2], 1e-6)),
        ("l2_normalize", &|t| l2_normalize(&t[0])),
        ("gelu", &|t| gelu(&t[0])),
        ("gelu_tanh", &|t| gelu_tanh(&t[0])),
        ("softmax", &|t| softmax(&t[0])),
        ("attention", &|t| attention(&t[0], &t[1], &t[2], 0.5)),
        ("upsample_nearest2d", &|t| upsample_nearest2d(&t[0], 7, 5)),
        ("upsample_bilinear2d", &|t| upsample_bilinear2d(&t[0], 7, 5, false)),
        ("upsample_bilinear2d_corners", &|t| upsample_bilinear2d(&t[0], 7, 5, true)),
        ("upsample_bicubic2d", &|t| upsample_bicubic2d(&t[0], 7, 5)),
        ("channels_last", &|t| channels_last(&t[0])),
        ("channels_first", &|t| channels_first(&t[0])),
    ];
    for case in cases {
        assert_golden(&golden, case);
    }
    let live = |key: &str| golden.get(&format!("batch_norm/{key}")).unwrap();
    let batch = batch_norm(live("input0"), live("input1"), live("input2"), 1e-5).unwrap();
    assert_near("running mean", &batch.mean, live("mean"));
    assert_near("running variance", &batch.variance, live("variance"));
    let mut names: Vec<&str> = golden.keys().map(|key| key.split('/').next().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    let mut tested: Vec<&str> = cases.iter().map(|case| case.0).collect();
    tested.sort_unstable();
    assert_eq!(names, tested, "every case of the file is tested");
}
