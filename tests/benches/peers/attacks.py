"""The ten terms of the robustness score, for a whole batch of queries at once.

An attack chooses its targets once, from the clean distances; then it is a loss of embeddings, minimised, and at the end a
score. Distances are `cdist`'s, as in the published code.
"""

import torch
import torch.nn.functional as F

NAMES = ["CA+", "CA-", "QA+", "QA-", "TMA", "ES", "LTM", "GTM", "GTT"]  # ES gives two of the ten terms


class Gallery:
    def __init__(self, embeddings, labels):
        self.embeddings, self.labels = embeddings, labels

    def __len__(self):
        return len(self.labels)

    def distances(self, embeddings):
        return torch.cdist(embeddings, self.embeddings)


class Queries:
    """Clean queries that are items of the gallery too."""

    def __init__(self, embeddings, labels, gallery):
        self.embeddings, self.labels = embeddings, labels
        self.distances = gallery.distances(embeddings)
        self.own = self.distances.argmin(1)


def choose(name, queries, gallery):
    """Gallery rows to aim at: (B, 1), or none for ES and LTM."""
    count, items = len(queries.labels), len(gallery)
    if name in ("CA+", "QA+", "TMA"):
        return torch.randint(items, (count, 1))
    if name in ("CA-", "QA-"):
        nearest = queries.distances.topk(items // 100 + 1, largest=False).indices[:, 1:]
        return nearest.gather(1, torch.randint(nearest.shape[1], (count, 1)))
    if name in ("GTM", "GTT"):
        others = queries.distances.scatter(1, queries.own[:, None], 1e38)
        nearest = others.argmin(1, keepdim=True)
        return nearest if name == "GTT" else published_unmatched(others, gallery.labels[nearest], gallery.labels)
    return None


def published_unmatched(distances, label, labels):
    """The nearest item with another label, by its position among the items with other labels: the published code uses
    that position as if it were a row of the gallery, and published scores are made so."""
    unmatched = label != labels[None, :]
    row = distances.masked_fill(~unmatched, torch.inf).argmin(1, keepdim=True)
    return unmatched.cumsum(1).gather(1, row) - 1


class Aim:
    """A batch under one attack."""

    def __init__(self, name, queries, gallery, target):
        self.name, self.queries, self.gallery, self.target = name, queries, gallery, target
        if name in ("CA+", "CA-"):
            self.aimed = gallery.embeddings[target[:, 0]]
            self.rivals = gallery.distances(self.aimed)  # constant while the candidate moves
        elif name in ("TMA", "GTM"):
            self.aimed = gallery.embeddings[target[:, 0]]
        elif name == "LTM":
            self.same = queries.labels[:, None] == gallery.labels[None, :]

    def loss(self, embeddings, step):
        if self.name in ("CA+", "CA-"):
            sign = 1 if self.name == "CA+" else -1
            own = (self.aimed - embeddings).norm(dim=1, keepdim=True)
            return (sign * (own - self.rivals)).relu().mean()
        if self.name == "TMA":
            return (1 - F.cosine_similarity(embeddings, self.aimed)).mean()
        if self.name == "ES":
            # In the first step the two would coincide, and the gradient of their distance be noise.
            clean = self.queries.embeddings + (1e-7 if step == 0 else 0.0)
            return -F.pairwise_distance(embeddings, clean).sum()
        if self.name == "GTM":
            return F.pairwise_distance(embeddings, self.aimed).mean()
        distances = self.gallery.distances(embeddings)
        if self.name == "LTM":
            farthest = distances.masked_fill(self.same, -torch.inf).amax(1)
            nearest = distances.masked_fill(~self.same, torch.inf).amin(1)
            return (farthest - nearest).relu().sum()
        sign = 1 if self.name == "QA+" else -1  # GTT is QA- aimed at the nearest item
        return (sign * (distances.gather(1, self.target) - distances)).relu().mean()

    def score(self, embeddings):
        """What the attack achieved, one value a query: a rank's share, a cosine, or a success."""
        if self.name in ("CA+", "CA-"):
            return (self.rivals < (self.aimed - embeddings).norm(dim=1, keepdim=True)).double().mean(1)
        if self.name == "TMA":
            return F.cosine_similarity(embeddings, self.aimed)
        distances = self.gallery.distances(embeddings)
        if self.name in ("QA+", "QA-"):
            return (distances < distances.gather(1, self.target)).double().mean(1)
        distances.scatter_(1, self.queries.own[:, None], 1e38)
        if self.name == "GTT":
            return (distances.topk(4, largest=False).indices == self.target).any(1)
        return self.gallery.labels[distances.argmin(1)] == self.queries.labels  # R@1 of ES, LTM and GTM
