"""Which pictures make a triplet: row by row in Python as the authors write it, and all rows at once.

Rows of a batch are [anchor 0, positive 0, anchor 1, positive 1, ...].
"""

import random

import torch
import torch.nn.functional as F


def distances(embeddings):
    """Pairwise Euclidean distances from the Gram matrix; rounding may make one NaN, which no candidate set holds."""
    embeddings = F.normalize(embeddings)
    product = embeddings @ embeddings.t()
    norm = product.diag()
    return (norm[:, None] + norm[None, :] - 2 * product).sqrt()


def softhard_by_rows(embeddings, labels):
    """Negatives nearer than the farthest positive, positives farther than the nearest negative."""
    with torch.no_grad():
        distance = distances(embeddings)
    positives, negatives = [], []
    for anchor in range(0, len(labels), 2):
        other, same = labels != labels[anchor], labels == labels[anchor]
        squared = distance[anchor].pow(2)
        farthest = distance[anchor][same].max().pow(2)
        negatives.append(draw_one((squared < farthest) & other, other))
        nearest = distance[anchor][other].min().pow(2)
        positives.append(draw_one((squared > nearest) & same, same))
    return torch.arange(0, len(labels), 2), torch.tensor(positives), torch.tensor(negatives)


def semihard_by_rows(embeddings, labels, margin=0.2):
    """Negatives farther than the positive, but not by the margin."""
    with torch.no_grad():
        distance = distances(embeddings)
    negatives = []
    for anchor in range(0, len(labels), 2):
        other, row, positive = labels != labels[anchor], distance[anchor], distance[anchor, anchor + 1]
        wanted = (positive.pow(2) < row.pow(2)) & (positive - row + margin > 0) & other
        negatives.append(draw_one(wanted, other))
    return torch.arange(0, len(labels), 2), torch.arange(1, len(labels), 2), torch.tensor(negatives)


def random_by_rows(labels):
    """Any negative."""
    negatives = []
    for anchor in range(0, len(labels), 2):
        other = labels != labels[anchor]
        negatives.append(draw_one(other, other))
    return torch.arange(0, len(labels), 2), torch.arange(1, len(labels), 2), torch.tensor(negatives)


def draw_one(wanted, otherwise):
    candidates = torch.where(wanted if wanted.sum() > 0 else otherwise)[0]
    return random.choice(candidates).item()


def softhard(embeddings, labels):
    """`softhard_by_rows` without a loop."""
    negatives, positives = softhard_candidates(embeddings, labels)
    return torch.arange(0, len(labels), 2), draw(positives), draw(negatives)


def softhard_candidates(embeddings, labels):
    """Masks (anchors, rows) of the negatives and the positives to draw from."""
    distance = distances(embeddings)[::2]
    same = labels[::2, None] == labels[None, :]
    infinity = torch.inf
    farthest = distance.masked_fill(~same, -infinity).amax(1, keepdim=True)
    nearest = distance.masked_fill(same, infinity).amin(1, keepdim=True)
    negatives, positives = (distance < farthest) & ~same, (distance > nearest) & same
    return (
        torch.where(negatives.any(1, keepdim=True), negatives, ~same),
        torch.where(positives.any(1, keepdim=True), positives, same),
    )


def draw(candidates):
    """One column of each row, uniformly among those that are true."""
    return torch.multinomial(candidates.float(), 1).squeeze(1)
