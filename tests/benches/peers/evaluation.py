"""The robustness evaluation: benign retrieval over the gallery, then each attack on batches of queries."""

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import attacks
import nets

BATCH = 128


def prepare(settings):
    """A work that does one part of an evaluation: "benign", "batch" (one batch under every attack) or "whole"."""
    net, pictures = nets.load(settings["backbone"], settings["net"]), load_file(settings["pictures"])
    evaluation = Evaluation(net, pictures["pixels"], pictures["labels"], settings)
    if settings["part"] == "benign":
        return lambda: evaluation.benign()
    if settings["part"] == "batch":
        gallery = evaluation.gallery()
        return lambda: evaluation.attack_all(gallery, 0, BATCH)

    def whole():
        gallery, _ = evaluation.benign()
        for first in range(0, settings["queries"], BATCH):
            evaluation.attack_all(gallery, first, min(BATCH, settings["queries"] - first))

    return whole


class Evaluation:
    def __init__(self, net, pixels, labels, settings):
        self.net, self.pixels, self.labels, self.settings = net, pixels, labels, settings
        self.descend = {"weight-gradients": with_weight_gradients, "rewritten": of_pixels_alone}[settings["peer"]]
        if settings["peer"] == "rewritten":
            self.net = net.to(memory_format=torch.channels_last).requires_grad_(False)
            self.pixels = pixels.to(memory_format=torch.channels_last)

    def gallery(self):
        with torch.no_grad():
            rows = [F.normalize(self.net(batch)) for batch in self.pixels.split(BATCH)]
        return attacks.Gallery(torch.cat(rows), self.labels)

    def benign(self):
        """R@1, R@2 and mAP of every picture against all others."""
        gallery, measured = self.gallery(), []
        for first in range(0, len(gallery), 256):
            rows = slice(first, first + 256)
            order = gallery.distances(gallery.embeddings[rows]).argsort(1)[:, 1:]
            relevant = gallery.labels[order] == gallery.labels[rows, None]
            precision = relevant.cumsum(1) / torch.arange(1, order.shape[1] + 1)
            ap = (precision * relevant).sum(1) / relevant.sum(1)
            measured.append(torch.stack([relevant[:, 0].float(), relevant[:, :2].any(1).float(), ap], 1))
        return gallery, torch.cat(measured).mean(0)

    def attack_all(self, gallery, first, count):
        return {name: self.attack(name, gallery, slice(first, first + count)) for name in attacks.NAMES}

    def attack(self, name, gallery, rows):
        pixels = self.pixels[rows]
        with torch.no_grad():
            queries = attacks.Queries(F.normalize(self.net(pixels)), self.labels[rows], gallery)
            aim = attacks.Aim(name, queries, gallery, attacks.choose(name, queries, gallery))
            aim.score(queries.embeddings)
        moved, _ = self.descend(self.net, pixels, aim, self.settings)
        with torch.no_grad():
            return aim.score(F.normalize(self.net(moved))).double().mean().item()


def with_weight_gradients(net, pixels, aim, settings):
    """The published code's descent: every step computes the gradients of the weights too and throws them away."""
    epsilon, alpha, objectives = settings["epsilon"], settings["alpha"], []
    original, moved = pixels.clone().detach(), pixels.clone().detach().requires_grad_()
    for step in range(settings["steps"]):
        net.zero_grad()
        objective = aim.loss(F.normalize(net(moved)), step)
        objective.backward()
        objectives.append(objective.item())
        moved = moved.detach() - alpha * moved.grad.sign()
        moved = torch.max(torch.min(moved, original + epsilon), original - epsilon).clamp(0.0, 1.0)
        moved.requires_grad_()
    net.zero_grad()
    return moved.detach(), objectives


def of_pixels_alone(net, pixels, aim, settings):
    """The careful user's descent, over a net whose weights are frozen."""
    epsilon, alpha, objectives = settings["epsilon"], settings["alpha"], []
    lowest, highest = (pixels - epsilon).clamp_(min=0.0), (pixels + epsilon).clamp_(max=1.0)
    moved = pixels
    for step in range(settings["steps"]):
        moved = moved.detach().requires_grad_()
        objective = aim.loss(F.normalize(net(moved)), step)
        (gradient,) = torch.autograd.grad(objective, moved)
        objectives.append(objective.detach())
        moved = torch.clamp(moved.detach() - alpha * gradient.sign_(), lowest, highest)
    return moved, objectives
