#!/usr/bin/env bash
# Makes a folder of pictures searchable: trains a small robust net on it, serves, and stores every picture. Called by
# `make gallery`.
#   DATA     a folder: one folder a class (DATA/<class>/<picture>), or pictures without classes
#   WEIGHTS  a file of published weights of SqueezeNet 1.1 to start from (safetensors); without, a smaller net from scratch
#   PORT     of the page, DIR where everything is kept, CARGO_BIN where the programs are
# Nothing is downloaded. What is there already is used again: a second run stores what is new, and serves within seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."
DATA=${DATA:-} WEIGHTS=${WEIGHTS:-} PORT=${PORT:-8080} DIR=${DIR:-.gallery} CARGO_BIN=${CARGO_BIN:-target/release}
CARGO=${CARGO:-cargo}
. configs/serving.sh

[ -d "$DATA" ] || { echo "error: DATA=$DATA is no folder; say make gallery DATA=path/to/pictures" >&2; exit 2; }
DATA=$(cd "$DATA" && pwd)
home=$DIR/$(basename "$DATA" | tr -c 'A-Za-z0-9._\n-' -)-$(printf %s "$DATA$WEIGHTS" | cksum | cut -d' ' -f1)
mkdir -p "$home"

say "1/3  Building (the first time takes some minutes)"
"$CARGO" build --release --locked --workspace --bins

if [ -f "$home/net/manifest.json" ]; then
  echo "the net is there already, in $home/net"
else
  # Some classes train and the others test, two of each at least.
  classes=$(find -L "$DATA" -mindepth 1 -maxdepth 1 -type d ! -name '.*' | wc -l)
  settings=(--set steps=200)
  if [ -n "$WEIGHTS" ]; then
    settings=(--set backbone=squeezenet1_1 --set input_side=128 --set learning_rate=1e-4 --set steps=60 \
      --set "weights={ file = \"$(realpath "$WEIGHTS")\" }")
  fi
  if [ "$classes" -ge 4 ]; then
    say "2/3  Training a robust net on $DATA, by attacking it while it learns"
    settings+=(--data "$DATA" --set "data.train_share=$([ "$classes" -ge 8 ] && echo 0.75 || echo 0.5)")
  else
    say "2/3  Training a robust net on drawn products: $DATA has fewer than 4 class folders to learn from"
    echo "It tells colours and shapes apart. For more, sort pictures into folders by what they show, and run this again."
  fi
  "$CARGO_BIN/holdfast-trainer" train --config configs/train/toy-shop.toml "${settings[@]}" --set evaluation.queries=32 \
    --out "$home/net"
fi

cat >"$home/serve.toml" <<TOML
# Written by make gallery.
checkpoint = "$home/net"
data_dir = "$home/data"
bind = "127.0.0.1:$PORT"
TOML

say "3/3  Serving, and storing every picture"
start_server
rejected=0
"$CARGO_BIN/holdfast" import "$DATA" --url "http://127.0.0.1:$PORT" || rejected=$?
[ "$rejected" -le 1 ] || exit "$rejected"

say "Open http://127.0.0.1:$PORT and drop a picture on it. Ctrl-C stops; the same command goes on."
wait "$server"
