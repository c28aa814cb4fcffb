"""Checks that the peers compute what the published code computes: `self_test.py FOLDER`, the folder of golden files.

Each peer attacks the recorded triplets and queries in double precision; objectives, pixels, losses, parameter gradients
and scores must be the recorded ones. Mining is compared by its candidate sets.
"""

import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import attacks
import evaluation
import mining
import nets
import training

TOLERANCE = 1e-9


def main(folder):
    folder, checked = pathlib.Path(folder), []
    trained = [*sorted(folder.glob("hm_S_gLGA*.safetensors")), *folder.glob("hm_R_M_eta1.safetensors")]
    checked += [check_training(folder, path) for path in trained]
    check_radius(folder)
    checked += [check_attack(folder, path) for path in sorted(folder.glob("attack_*.safetensors")) if "M2" not in path.stem]
    checked += check_mining(folder / "miners.safetensors")
    if not checked:
        sys.exit(f"no golden file in {folder}: nothing was compared")
    print(f"the peers agree with {len(checked)} golden results: {', '.join(checked)}")


def agree(what, got, want, tolerance=TOLERANCE):
    got, want = torch.as_tensor(got, dtype=torch.float64), torch.as_tensor(want, dtype=torch.float64)
    difference = (got - want).abs().max().item()
    if got.shape != want.shape or not difference <= tolerance:
        sys.exit(f"{what}: off by {difference}, shape {tuple(got.shape)} and not {tuple(want.shape)}")


def golden_net(folder):
    model = load_file(folder / "model.safetensors")
    weights = {name[len("param/"):]: value.double() for name, value in model.items() if name.startswith("param/")}
    return nets.load_c2f2(weights), model


def check_training(folder, path):
    golden = {name[len("f64/"):]: value for name, value in load_file(path).items() if name.startswith("f64/")}
    settings = {"epsilon": golden["cfg/eps"].item(), "alpha": golden["cfg/alpha"].item(), "steps": int(golden["cfg/eta"])}
    settings |= {"learning_rate": 1e-3, "weight_decay": 1e-7}
    triplets = [golden[f"src/{part}"] for part in ("anc", "pos", "neg")]
    for peer in (training.AsAuthors, training.Rewritten):
        net, model = golden_net(folder)
        trainer, what = peer(net, settings), f"{path.stem}, {peer.__name__}"
        attacked = trainer.attack(model["images"].double(), triplets, golden["HD"], early_stop=True)
        loss = trainer.loss(attacked)
        agree(f"{what}, objectives", trainer.objectives, golden["J"])
        agree(f"{what}, pixels", attacked, golden["x_final"])
        agree(f"{what}, loss", loss.item(), golden["loss_adv"].item())
        if "loss_ics_unweighted" not in golden:  # else the recorded gradients are of another loss
            loss.backward()
            for name, parameter in net.named_parameters():
                if f"grad/{name}" in golden:
                    agree(f"{what}, gradient of {name}", parameter.grad, golden[f"grad/{name}"])
    return path.stem


def check_radius(folder):
    """No recorded run reaches its radius: where one does, the two peers must agree, and the pixels stay within it."""
    settings = {"epsilon": 5 / 255, "alpha": 3 / 255, "steps": 4, "learning_rate": 1e-3, "weight_decay": 1e-7}
    moved = []
    for peer in (training.AsAuthors, training.Rewritten):
        net, model = golden_net(folder)
        pixels, rows = model["images"].double(), torch.arange(0, len(model["images"]) - 2, 2)
        attacked = peer(net, settings).attack(pixels, (rows, rows + 1, rows + 2), 2.0)
        moved.append(attacked - pixels[torch.cat([rows, rows + 1, rows + 2])])
        agree(f"radius, {peer.__name__}", moved[-1].abs().max(), 5 / 255)
    agree("radius, pixels", *moved)


def check_attack(folder, path):
    name = path.stem[len("attack_"):].replace("p", "+").replace("m", "-")
    golden = load_file(path)
    recorded = {key[len("f64/steps8/"):]: value for key, value in golden.items() if key.startswith("f64/steps8/")}
    settings = {"epsilon": golden["cfg/eps"].item(), "alpha": golden["cfg/alpha"].item(), "steps": 8}
    for descend in (evaluation.with_weight_gradients, evaluation.of_pixels_alone):
        net, model = golden_net(folder)
        rows, what = golden["query_index"], f"{path.stem}, {descend.__name__}"
        gallery = attacks.Gallery(model["f64/gallery_emb"], model["gallery_labels"])
        pixels = model["gallery_images"].double()[rows]
        with torch.no_grad():
            queries = attacks.Queries(F.normalize(net(pixels)), gallery.labels[rows], gallery)
        agree(f"{what}, own rows", queries.own, recorded["self_index"])
        target = recorded["target"].view(-1, 1) if "target" in recorded else None
        if name in ("GTM", "GTT"):
            agree(f"{what}, target", attacks.choose(name, queries, gallery), target)
        aim = attacks.Aim(name, queries, gallery, target)
        moved, objectives = descend(net, pixels, aim, settings)
        # Once QA+ has its candidate on top, it descends on rounding noise: only the objective is comparable.
        agree(f"{what}, objectives", objectives, recorded["J"], 1e-3 if name == "QA+" else 1e-7)
        if name != "QA+":
            agree(f"{what}, pixels", moved, recorded["x_final"])
        with torch.no_grad():
            score = aim.score(F.normalize(net(moved)))
        term = {"TMA": "cos", "GTT": "retain@4"}.get(name, "prank" if name[1] == "A" else "r@1")
        agree(f"{what}, score", score, recorded[f"after/{term}"])
    return path.stem


def check_mining(path):
    """The candidate sets of every recorded batch in which a triplet can be mined at all."""
    golden = load_file(path)
    cases = sorted({name.split("/")[0] for name in golden} - {"one_class"})
    for case in cases:
        embeddings, labels = golden[f"{case}/E"], golden[f"{case}/labels"]
        wanted = {part: golden[f"{case}/softhard/{part}_set"].bool() for part in ("neg", "pos")}
        negatives, positives = mining.softhard_candidates(embeddings, labels)
        same = labels[::2, None] == labels[None, :]
        for part, found, otherwise in (("neg", negatives, ~same), ("pos", positives, same)):
            recorded = wanted[part]
            recorded = torch.where(recorded.any(1, keepdim=True), recorded, otherwise)
            agree(f"{case}, softhard {part}", found, recorded)
        semihard = golden[f"{case}/semihard/neg_set"].bool()
        semihard = torch.where(semihard.any(1, keepdim=True), semihard, ~same)
        for _ in range(20):
            rows = torch.arange(len(same))
            _, p, n = mining.softhard_by_rows(embeddings, labels)
            agree(f"{case}, softhard by rows", negatives[rows, n] & positives[rows, p], torch.ones(len(rows)))
            _, _, n = mining.semihard_by_rows(embeddings, labels)
            agree(f"{case}, semihard by rows", semihard[rows, n], torch.ones(len(rows)))
    return [f"miners/{case}" for case in cases]


if __name__ == "__main__":
    torch.set_num_threads(2)
    main(sys.argv[1])
