"""PyTorch's values and gradients of the differentiable operations: writes ops.safetensors beside this file.

    pip install torch safetensors; python tests/golden/ops.py

Every case holds input0, input1, …, the result, an upstream gradient, and the gradient of each input, in float64.
Pictures are (B, H, W, C), as holdfast-ops has them; PyTorch computes on their permutation to (B, C, H, W).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
tensors = {}


def first(x):
    return x.permute(0, 3, 1, 2)


def last(x):
    return x.permute(0, 2, 3, 1)


def case(name, function, *inputs):
    inputs = [x.clone().requires_grad_() for x in inputs]
    result = function(*inputs)
    upstream = torch.randn(result.shape)
    gradients = torch.autograd.grad(result, inputs, upstream)
    values = {"result": result, "upstream": upstream}
    values |= {f"input{index}": x for index, x in enumerate(inputs)}
    values |= {f"gradient{index}": x for index, x in enumerate(gradients)}
    tensors.update({f"{name}/{key}": x.detach().contiguous().clone() for key, x in values.items()})


def frozen_batch_norm(x, scale, shift):
    mean, variance = torch.zeros(3), torch.ones(3)
    return last(F.batch_norm(first(x), mean, variance, scale, shift, training=False, eps=0.0))


picture, scale, shift = torch.randn(1, 5, 4, 3), torch.randn(3), torch.randn(3)
case("affine", frozen_batch_norm, picture, scale, shift)
case("affine_relu", lambda *x: F.relu(frozen_batch_norm(*x)), picture, scale, shift)
residual = torch.randn(1, 5, 4, 3)
case("affine_add_relu", lambda *x: F.relu(frozen_batch_norm(*x[:3]) + x[3]), picture, scale, shift, residual)
corners = torch.tensor([-1.0, 0.0, 2.5, 6.0, 7.0])
case("relu", F.relu, corners)
case("relu6", F.relu6, corners)
case("add_relu", lambda x, y: F.relu(x + y), picture, residual)
tied = torch.randint(0, 3, (1, 7, 6, 2)).double()
case("max_pool2d", lambda x: last(F.max_pool2d(first(x), 3, 2, 1)), tied)
case("avg_pool2d", lambda x: last(F.avg_pool2d(first(x), 3, 2, 1)), tied)
case("avg_pool2d_inside", lambda x: last(F.avg_pool2d(first(x), 3, 2, 1, count_include_pad=False)), tied)
case("global_avg_pool", lambda x: F.adaptive_avg_pool2d(first(x), 1).flatten(1), picture)
case("batch_norm", lambda *x: last(F.batch_norm(first(x[0]), None, None, *x[1:], training=True)), picture, scale, shift)
mean, variance = torch.zeros(3), torch.zeros(3)
F.batch_norm(first(picture), mean, variance, training=True, momentum=1.0)
tensors |= {"batch_norm/mean": mean, "batch_norm/variance": variance}
case("layer_norm", lambda *x: F.layer_norm(x[0], (3,), *x[1:], eps=1e-6), picture, scale, shift)
rows = torch.randn(4, 5)
rows[2] = 0
case("l2_normalize", F.normalize, rows)
line = torch.linspace(-7, 7, 29)
case("gelu", F.gelu, line)
case("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), line)
case("softmax", lambda x: F.softmax(x, dim=-1), rows)
heads = [torch.randn(1, 2, 4, 3) for _ in range(3)]
case("attention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.5), *heads)
small = torch.randn(1, 4, 3, 2)
for name, mode in [("nearest2d", {}), ("bilinear2d", {"align_corners": False}), ("bicubic2d", {"align_corners": False})]:
    resize = lambda x: last(F.interpolate(first(x), (7, 5), mode=name[:-2], **mode))
    case(f"upsample_{name}", resize, small)
aligned = lambda x: last(F.interpolate(first(x), (7, 5), mode="bilinear", align_corners=True))
case("upsample_bilinear2d_corners", aligned, small)
case("channels_last", last, picture)
case("channels_first", first, picture)

path = Path(__file__).with_suffix(".safetensors")
save_file(tensors, path)
print(f"{path}: {len(tensors)} tensors, {path.stat().st_size} bytes")
