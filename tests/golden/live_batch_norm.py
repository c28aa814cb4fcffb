"""PyTorch's training steps of a small ResNet-18 whose batch norms are live: writes live_batch_norm.safetensors beside this file.

    pip install torch torchvision safetensors; python tests/golden/live_batch_norm.py

The net is torchvision's with an eighth of the channels, in float64; weights and pictures are drawn, not stored (drawn.py).
Each of STEPS steps, in training mode, has four other pictures, the loss <embeddings, upstream>, and takes RATE times the
gradient from every parameter. Stored are, step by step, the embeddings and the gradients, of pictures and of long parameters
at every STRIDE-th flat position; then the running statistics, in the order of their names, and the embeddings of the first
pictures in evaluation mode.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.models as models
from safetensors.torch import save_file
from torch import nn

from drawn import BASE, IMAGENET, STRIDE, normalized, parameter, uniform

torch.set_default_dtype(torch.float64)
STEPS, RATE, PICTURES, SIDES = 3, 0.01, 4, (33, 40)
COMPARED = ["conv1.weight", "bn1.weight", "bn1.bias", "layer2.0.downsample.1.weight", "layer3.1.conv2.weight", "layer4.1.bn2.bias", "fc.weight"]


def narrow(module):
    """An eighth of the channels, except the picture's three."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            inputs = child.in_channels if child.in_channels == 3 else child.in_channels // 8
            sizes = (inputs, child.out_channels // 8, child.kernel_size, child.stride, child.padding)
            setattr(module, name, nn.Conv2d(*sizes, bias=False))
        elif isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.BatchNorm2d(child.num_features // 8))
        else:
            narrow(child)


net = models.resnet18()
narrow(net)
net.fc = nn.Linear(64, 64)
names = sorted(key for key in net.state_dict() if "num_batches_tracked" not in key)
shapes = {key: tuple(net.state_dict()[key].shape) for key in names}
drawn = {key: parameter(key, shapes[key], BASE + 7000003 + 1000003 * k) for k, key in enumerate(names)}
net.load_state_dict(drawn, strict=False)


def pictures(step):
    count = PICTURES * 3 * SIDES[0] * SIDES[1]
    return torch.from_numpy(uniform(BASE + 100 + step, count).reshape(PICTURES, 3, *SIDES))


def embeddings(pixels):
    return F.normalize(net(normalized(pixels, IMAGENET)))


def picked(gradient):
    flat = gradient.flatten()
    return flat[::STRIDE] if len(flat) > 1000 else flat


tensors = {}
for step in range(STEPS):
    net.train()
    net.zero_grad()
    pixels = pictures(step).requires_grad_()
    embedded = embeddings(pixels)
    upstream = torch.from_numpy(uniform(BASE + 200 + step, PICTURES * 64).reshape(PICTURES, 64))
    (embedded * upstream).sum().backward()
    parameters = dict(net.named_parameters())
    tensors[f"{step}/embeddings"] = embedded
    tensors[f"{step}/gradient/pixels"] = picked(pixels.grad)
    tensors.update({f"{step}/gradient/{name}": picked(parameters[name].grad) for name in COMPARED})
    with torch.no_grad():
        for value in parameters.values():
            value -= RATE * value.grad

running = [net.state_dict()[name] for name in names if ".running_" in name]
tensors["running"] = torch.cat(running)
net.eval()
tensors["at_rest"] = embeddings(pictures(0))
assert all(np.isfinite(value.detach().numpy()).all() for value in tensors.values())
save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()}, Path(__file__).parent / "live_batch_norm.safetensors")
