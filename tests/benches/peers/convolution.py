"""One layer, one pass: forward, the gradient of its input, or the gradient of its weight."""

import torch
import torch.nn.functional as F


def prepare(layer):
    """A work that does `layer["pass"]` `layer["repeat"]` times in a row."""
    batch, channels, outputs = layer["batch"], layer["channels"], layer["outputs"]
    if layer["size"] == 0:  # a linear layer
        x, weight = torch.rand(batch, channels), torch.rand(outputs, channels)
        operation = F.linear
    else:
        kernel, size = layer["kernel"], layer["size"]
        x, weight = torch.rand(batch, channels, size, size), torch.rand(outputs, channels, kernel, kernel)
        if layer["layout"] == "channels-last":
            x, weight = (tensor.to(memory_format=torch.channels_last) for tensor in (x, weight))

        def operation(x, weight):
            return F.conv2d(x, weight, None, layer["stride"], layer["padding"])

    if layer["pass"] == "forward":
        return forward(operation, x, weight, layer["repeat"])
    return gradient(operation, x, weight, layer["pass"], layer["repeat"])


def forward(operation, x, weight, repeat):
    def work():
        with torch.no_grad():
            for _ in range(repeat):
                operation(x, weight)

    return work


def gradient(operation, x, weight, of, repeat):
    """Only `of` is tracked, so that autograd computes one gradient and not two."""
    tracked = (x if of == "input" else weight).requires_grad_()
    y = operation(x, weight)
    upstream = torch.rand_like(y)

    def work():
        for _ in range(repeat):
            torch.autograd.grad(y, tracked, upstream, retain_graph=True)

    return work
