"""A whole net's forward pass, the gradient of its pixels, and all its gradients."""

import torch
import torch.nn.functional as F

import nets


def prepare(settings):
    """A work that does the pass once."""
    net, pixels = nets.load(settings["backbone"], settings["net"]), torch.rand(settings["shape"])
    if settings["layout"] == "channels-last":
        net, pixels = (value.to(memory_format=torch.channels_last) for value in (net, pixels))
    if settings["gradients"] == "none":
        return lambda: forward(net, pixels)
    net.requires_grad_(settings["gradients"] == "parameters")
    tracked = [pixels.requires_grad_()] if settings["gradients"] == "pixels" else list(net.parameters())
    return lambda: torch.autograd.grad(F.normalize(net(pixels)).sum(), tracked)


def forward(net, pixels):
    with torch.no_grad():
        F.normalize(net(pixels))
