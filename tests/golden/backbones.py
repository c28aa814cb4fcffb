"""torchvision's outputs and gradients of the pretrained backbones: writes backbones.safetensors beside this file.

    pip install torch torchvision safetensors; python tests/golden/backbones.py

Weights are not stored: parameter number k of a net, counted in the order of its published names, is drawn by the rule of
`parameter` in drawn.py from seed BASE + 7000003 + 1000003 k, and so are they in model/tests/backbones/drawn.rs. Pictures
are of odd sides. Every case holds the result (raw), the gradient of <raw, upstream> with respect to the picture at every STRIDE-th flat
position (gradient), both in float64, and the picture's height and width (sides). Where the published names are not
those of holdfast's parameters, it holds them with their shapes.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision.models as models
from safetensors.torch import save_file
from torch import nn

from drawn import BASE, IMAGENET, STRIDE, normalized, parameter, uniform

torch.set_default_dtype(torch.float64)
HALF = ((0.5,) * 3, (0.5,) * 3)
tensors = {}


def case(name, net, features, statistics, sides, rename=lambda name: name, store_shapes=False):
    """`features` maps pictures to what the last layer takes, `rename` torchvision's names to the published ones."""
    width = 512
    net.eval()
    net.requires_grad_(False)
    state = {rename(key): value for key, value in net.state_dict().items() if "num_batches_tracked" not in key}
    order = sorted(state)
    drawn = {key: parameter(key, tuple(state[key].shape), BASE + 7000003 + 1000003 * k) for k, key in enumerate(order)}
    net.load_state_dict({key: drawn[rename(key)] for key in net.state_dict() if "num_batches_tracked" not in key}, strict=False)
    picture = torch.from_numpy(uniform(BASE + 90, 3 * sides[0] * sides[1]).reshape(1, 3, *sides)).requires_grad_()
    value = features(normalized(picture, statistics))
    last = nn.Linear(value.shape[1], width)
    last.weight.data = parameter("fc.weight", (width, value.shape[1]), BASE + 91)
    last.bias.data = parameter("fc.bias", (width,), BASE + 92)
    raw = last(value)
    upstream = torch.from_numpy(uniform(BASE + 93, width).reshape(1, width))
    (gradient,) = torch.autograd.grad((raw * upstream).sum(), picture)
    values = {"raw": raw, "gradient": gradient.flatten()[::STRIDE]}
    tensors.update({f"{name}/{key}": x.detach().contiguous().clone() for key, x in values.items()})
    tensors[f"{name}/sides"] = torch.tensor(sides)
    if store_shapes:
        tensors.update({f"{name}/shape/{key}": torch.tensor(state[key].shape) for key in order})


def pooled(features):
    return lambda x: F.adaptive_avg_pool2d(features(x), 1).flatten(1)


squeezenet = models.squeezenet1_1()
del squeezenet.classifier
case("squeezenet1_1", squeezenet, pooled(squeezenet.features), IMAGENET, (62, 75))

resnet = models.resnet50()
resnet.fc = nn.Identity()
case("resnet50", resnet, resnet, IMAGENET, (45, 51))

mobilenet = models.mobilenet_v2()
del mobilenet.classifier
case("mobilenetv2_100", mobilenet, pooled(mobilenet.features), IMAGENET, (45, 62), store_shapes=True)


class Same(nn.Conv2d):
    """A convolution padded as TensorFlow does."""

    def forward(self, x):
        missing = lambda side, k, s: max((-(-side // s) - 1) * s + k - side, 0)
        rows, columns = (missing(side, k, s) for side, k, s in zip(x.shape[2:], self.kernel_size, self.stride))
        x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


def folded(module):
    """Replaces convolutions by such with bias and TensorFlow's padding, and batch norms by nothing."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            sizes = (child.in_channels, child.out_channels, child.kernel_size, child.stride)
            setattr(module, name, Same(*sizes, groups=child.groups, bias=True))
        elif isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.Identity())
        else:
            folded(child)


google = models.mobilenet_v2()
del google.classifier
folded(google)
case("mobilenet_v2", google, pooled(google.features), HALF, (45, 62))


class LayerScale(nn.Module):
    def __init__(self, inner, features):
        super().__init__()
        self.inner, self.gamma = inner, nn.Parameter(torch.ones(features))

    def forward(self, *x, **options):
        result = self.inner(*x, **options)
        return (result[0] * self.gamma, None) if isinstance(result, tuple) else result * self.gamma


def vit_name(name):
    for theirs, ours in [
        ("class_token", "cls_token"), ("encoder.pos_embedding", "pos_embed"), ("conv_proj", "patch_embed.proj"),
        ("encoder.layers.encoder_layer_", "blocks."), ("encoder.ln.", "norm."), (".ln_1.", ".norm1."), (".ln_2.", ".norm2."),
        ("self_attention.gamma", "ls1.gamma"), ("mlp.gamma", "ls2.gamma"), (".inner.", "."),
        ("self_attention.in_proj_", "attn.qkv."), ("self_attention.out_proj", "attn.proj"),
        (".mlp.0.", ".mlp.fc1."), (".mlp.3.", ".mlp.fc2."),
    ]:
        name = name.replace(theirs, ours)
    return name


def vit(name, patch, heads, grid, statistics, side, scaled=False):
    width = 64 * heads
    net = models.VisionTransformer(grid * patch, patch, 12, heads, width, 4 * width)
    net.heads = nn.Identity()
    if scaled:
        for block in net.encoder.layers:
            block.self_attention = LayerScale(block.self_attention, width)
            block.mlp = LayerScale(block.mlp, width)

    def features(x):
        positions, patches = net.encoder.pos_embedding, side // patch
        square = positions[:, 1:].reshape(1, grid, grid, width).permute(0, 3, 1, 2)
        if patches != grid:
            square = F.interpolate(square, (patches, patches), mode="bicubic", align_corners=False)
        resized = torch.cat([positions[:, :1], square.permute(0, 2, 3, 1).reshape(1, -1, width)], 1)
        net.image_size, net.encoder.pos_embedding.data = side, resized
        return net(x)

    case(name, net, features, statistics, (side, side), vit_name)


vit("deit_tiny_patch16_224", 16, 3, 14, IMAGENET, 224)
vit("vit_small_patch16_224", 16, 6, 14, HALF, 80)
vit("dinov2_vits14", 14, 6, 37, IMAGENET, 70, scaled=True)

save_file(tensors, Path(__file__).parent / "backbones.safetensors")
