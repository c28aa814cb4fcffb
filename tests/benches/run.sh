#!/usr/bin/env bash
# Runs comparisons: run.sh [machine | layers | passes | hm-c2f2 | hm-resnet18 | ers-c2f2 | scaling] ...; all without a name.
#
# BENCH_PYTHON is a Python that has torch. Without it one is made with pip in target/bench-venv; where that fails, our side
# is measured alone. BENCH_FLAGS goes to the program: --rounds 3, --whole, --threads 1.
set -euo pipefail
cd "$(dirname "$0")/../.."

CARGO="${CARGO:-cargo}"
SHARED="${HOLDFAST_SHARED:-../shared}"
PEERS=tests/benches/peers
FLAGS=()

can_compare() {
  "$1" -c 'import torch, safetensors, numpy' 2>/dev/null
}

# Prints a Python that has torch, or nothing.
find_python() {
  local venv=target/bench-venv
  if [ -n "${BENCH_PYTHON:-}" ]; then
    can_compare "$BENCH_PYTHON" && echo "$BENCH_PYTHON" || echo "$BENCH_PYTHON has no torch, safetensors and numpy" >&2
    return
  fi
  if ! can_compare "$venv/bin/python"; then
    echo "Installing PyTorch into $venv (once; about 6 GB, some minutes)." >&2
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet -r "$PEERS/requirements.txt" >&2 || return 0
  fi
  can_compare "$venv/bin/python" && echo "$PWD/$venv/bin/python" || true
}

wants() {
  [ ${#NAMES[@]} = 0 ] || [[ " ${NAMES[*]} " == *" $1 "* ]]
}

NAMES=("$@")
if wants machine; then
  "$CARGO" bench --locked --workspace --bench machine
  REST=()
  for name in "${NAMES[@]}"; do [ "$name" = machine ] || REST+=("$name"); done
  if [ ${#NAMES[@]} != 0 ] && [ ${#REST[@]} = 0 ]; then exit; fi
  NAMES=("${REST[@]}")
fi

PYTHON=$(find_python)
if [ -n "$PYTHON" ]; then
  FLAGS+=(--python "$PYTHON")
  GOLDEN="${HOLDFAST_GOLDEN:-$SHARED/golden}"
  [ -d "$GOLDEN" ] || GOLDEN=tests/golden
  "$PYTHON" "$PEERS/self_test.py" "$GOLDEN"
fi
if [ -d "$SHARED/data/fashion-mnist" ]; then FLAGS+=(--data "$(realpath "$SHARED/data/fashion-mnist")"); fi

# shellcheck disable=SC2086 # BENCH_FLAGS is a list
exec "$CARGO" bench --locked --workspace --bench compare -- "${FLAGS[@]}" ${BENCH_FLAGS:-} "${NAMES[@]}"
