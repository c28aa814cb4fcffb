"""The peer's side of a comparison: answers one line on standard output for each line on standard input.

    prepare WORK SETTINGS   sets a work up; SETTINGS is JSON            -> ready | cannot REASON
    run                     does it once                                -> milliseconds

Our side, `../compare/ours.rs`, speaks the same words. Only the work itself is timed, in both.
"""

import json
import os
import sys
import time

import torch

import convolution
import evaluation
import passes
import training

WORKS = {"layer": convolution.prepare, "pass": passes.prepare, "training": training.prepare, "evaluation": evaluation.prepare}


def main():
    torch.set_num_threads(int(os.environ["THREADS"]))
    torch.manual_seed(0)
    work = None
    say(f"hello PyTorch {torch.__version__.split('+')[0]}")
    for line in sys.stdin:
        command, *rest = line.rstrip("\n").split(" ", 2)
        if command == "prepare":
            work = None  # frees the last one's tensors before the next one's are made
            try:
                work = WORKS[rest[0]](json.loads(rest[1]))
                say("ready")
            except (ImportError, FileNotFoundError) as error:
                say(f"cannot {error}")
        elif command == "run":
            started = time.perf_counter()
            work()
            say(f"{(time.perf_counter() - started) * 1e3}")


def say(line):
    print(line, flush=True)


if __name__ == "__main__":
    main()
