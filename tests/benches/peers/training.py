"""A training step of HM[S,gLGA]: hardness manipulation of softhard triplets towards the linear gradual adversary.

Two ways to write it, which compute the same: `AsAuthors` keeps the habits of the published code, `Rewritten` does what a
careful PyTorch user would. Neither is compiled.
"""

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import mining
import nets

MARGIN = 0.2


def prepare(settings):
    """A work that makes one training step, each time on the next of the batches."""
    net = nets.load(settings["backbone"], settings["net"])
    batches = load_file(settings["batches"])
    trainer = {"as-authors": AsAuthors, "rewritten": Rewritten}[settings["peer"]](net, settings)
    pixels, labels, made = batches["pixels"], batches["labels"], 0

    def work():
        nonlocal made
        at = made % len(pixels)
        made += 1
        trainer.step(pixels[at], labels[at])

    return work


class Trainer:
    """What both share: budget, optimizer, and the loss of the previous step, which sets the next destination."""

    def __init__(self, net, settings):
        self.net = net
        self.epsilon, self.alpha, self.steps = (settings[key] for key in ("epsilon", "alpha", "steps"))
        self.optimizer = torch.optim.Adam(
            net.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"], fused=self.FUSED
        )
        self.previous_loss = 2.0
        self.objectives = []

    def destination(self):
        return -MARGIN * min(max(self.previous_loss, 0.0), MARGIN) / MARGIN


def split(embeddings):
    return embeddings.chunk(3)


def hardness(anchors, positives, negatives):
    return F.pairwise_distance(anchors, positives) - F.pairwise_distance(anchors, negatives)


class AsAuthors(Trainer):
    """The published code's way: weight gradients in every attack step, cleared and thrown away; mining in Python loops;
    a second loss for the log."""

    FUSED = None

    def step(self, pixels, labels):
        self.net.eval()
        with torch.no_grad():
            embeddings = F.normalize(self.net(pixels))
            a, p, n = mining.random_by_rows(labels)
            F.triplet_margin_loss(embeddings[a], embeddings[p], embeddings[n], MARGIN).item()  # for the log
        source = mining.softhard_by_rows(embeddings, labels)
        a, p, n = mining.semihard_by_rows(embeddings, labels)
        hardness(embeddings[a], embeddings[p], embeddings[n])  # unused by the gradual adversary, computed all the same
        attacked = self.attack(pixels, source, self.destination())
        self.net.train()
        self.optimizer.zero_grad()
        loss = self.loss(attacked)
        loss.backward()
        self.optimizer.step()
        return loss

    def attack(self, pixels, triplets, destination, early_stop=False):
        original = torch.cat([pixels[rows].clone().detach() for rows in triplets])
        moved = original.clone().detach()
        moved.requires_grad = True
        self.objectives, last = [], -1.0
        for _ in range(self.steps):
            of_net = torch.optim.SGD(self.net.parameters(), lr=0.0)
            of_pixels = torch.optim.SGD([moved], lr=1.0)
            of_net.zero_grad()
            of_pixels.zero_grad()
            now = hardness(*split(F.normalize(self.net(moved))))
            objective = (now - destination).clamp(max=0.0).square().mean()
            objective.backward()
            stride = self.alpha if self.steps > 1 else self.epsilon
            moved.grad.data.copy_(stride * torch.sign(moved.grad))
            of_pixels.step()
            moved = torch.min(moved, original + self.epsilon)
            moved = torch.max(moved, original - self.epsilon)
            moved = torch.clamp(moved, min=0.0, max=1.0).clone().detach()
            moved.requires_grad = True
            self.objectives.append(objective.item())
            if early_stop and abs(last - self.objectives[-1]) < 1e-7:
                break
            last = self.objectives[-1]
        of_net.zero_grad()
        return moved.detach()

    def loss(self, attacked):
        loss = F.triplet_margin_loss(*split(F.normalize(self.net(attacked))), margin=MARGIN)
        self.previous_loss = loss.item()
        return loss


class Rewritten(Trainer):
    """A careful user's way: the gradient of the pixels alone, channels-last, no loops over rows, nothing for a log."""

    FUSED = True

    def __init__(self, net, settings):
        super().__init__(net.to(memory_format=torch.channels_last), settings)

    def step(self, pixels, labels):
        pixels = pixels.to(memory_format=torch.channels_last)
        with torch.no_grad():
            source = mining.softhard(self.net(pixels), labels)
        attacked = self.attack(pixels, source, self.destination())
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(attacked)
        loss.backward()
        self.optimizer.step()
        return loss

    def attack(self, pixels, triplets, destination, early_stop=False):
        original = pixels[torch.cat(triplets)].contiguous(memory_format=torch.channels_last)
        lowest, highest = (original - self.epsilon).clamp_(min=0.0), (original + self.epsilon).clamp_(max=1.0)
        stride = self.alpha if self.steps > 1 else self.epsilon
        moved, self.objectives = original.clone(), []
        self.net.requires_grad_(False)
        for _ in range(self.steps):
            moved.requires_grad_()
            now = hardness(*split(F.normalize(self.net(moved))))
            objective = (now - destination).clamp(max=0.0).square().mean()
            (gradient,) = torch.autograd.grad(objective, moved)
            moved = torch.clamp(moved.detach().sub_(gradient.sign_(), alpha=stride), lowest, highest)
            self.objectives.append(objective.detach())
            if early_stop and len(self.objectives) > 1 and abs(self.objectives[-1] - self.objectives[-2]) < 1e-7:
                break
        self.net.requires_grad_(True)
        return moved

    loss = AsAuthors.loss
