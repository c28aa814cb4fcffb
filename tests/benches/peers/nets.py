"""The nets of the comparison, as PyTorch users write them. Weights have the same names on both sides."""

import torch
from safetensors.torch import load_file
from torch import nn


class C2F2(nn.Module):
    """Two convolutions and two linear layers for 28x28 grey pictures."""

    def __init__(self, widths=(32, 64, 1024, 512)):
        super().__init__()
        c1, c2, f1, f2 = widths
        self.conv1, self.conv2 = nn.Conv2d(1, c1, 5, padding=2), nn.Conv2d(c1, c2, 5, padding=2)
        self.fc1, self.fc2 = nn.Linear(c2 * 7 * 7, f1), nn.Linear(f1, f2)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        x = nn.functional.max_pool2d(self.conv2(x).relu(), 2)
        return self.fc2(self.fc1(x.flatten(1)).relu())


class ResNet18(nn.Module):
    """torchvision's net with 512 features, mean and deviation applied inside, batch norm frozen but for its affine."""

    def __init__(self):
        super().__init__()
        import torchvision  # only this net needs it

        self.net = torchvision.models.resnet18(weights=None)
        self.net.fc = nn.Linear(512, 512)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, x):
        return self.net((x - self.mean) / self.deviation)

    def train(self, mode=True):
        super().train(mode)
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def load(backbone, path):
    """The net of these weights."""
    weights = load_file(path)
    if backbone == "c2f2":
        return load_c2f2(weights)
    net = ResNet18()
    missing = net.net.load_state_dict(weights, strict=False).missing_keys
    if any(not name.endswith("num_batches_tracked") for name in missing):
        raise KeyError(f"the weights lack {missing}")
    return net.eval()


def load_c2f2(weights):
    net = C2F2([len(weights[f"{layer}.bias"]) for layer in ("conv1", "conv2", "fc1", "fc2")])
    net.load_state_dict(weights)
    return net.to(weights["fc2.bias"].dtype).eval()
