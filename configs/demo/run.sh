#!/usr/bin/env bash
# The whole loop in one command: train, attack, compare, fill a gallery, serve, watch. Called by `make demo`.
#   DATA  empty: the toy shop, drawn on the spot; else a folder: Fashion-MNIST's idx files, or one folder a class
#   PORT  of the page, DIR where everything is kept, CARGO_BIN where the programs are
# What is there already is used again: the second run serves within seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."
DATA=${DATA:-} PORT=${PORT:-8080} DIR=${DIR:-.demo} CARGO_BIN=${CARGO_BIN:-target/release}
CARGO=${CARGO:-cargo}

. configs/serving.sh

# One folder a data set, so that another DATA never meets the wrong nets.
if [ -z "$DATA" ]; then
  home=$DIR/toy-shop name="the toy shop"
else
  [ -d "$DATA" ] || { echo "error: DATA=$DATA is no folder; give Fashion-MNIST's folder, or a folder of class folders" >&2; exit 2; }
  DATA=$(cd "$DATA" && pwd)
  home=$DIR/$(basename "$DATA")-$(printf %s "$DATA" | cksum | cut -d' ' -f1) name=$DATA
fi
mkdir -p "$home"

say "1/6  Building (the first time takes some minutes)"
"$CARGO" build --release --locked --workspace --bins

if compgen -G "${DATA:-/nonexistent}/train-images-idx3-ubyte*" >/dev/null; then
  config=fashion-quick
  # A third of the steps of the config: minutes matter more here than the last points.
  shorter=(--set steps=120 --set evaluation.queries=64)
  budget=(epsilon=77/255 alpha=12/255)
else
  config=toy-shop
  shorter=()
  budget=(epsilon=8/255 alpha=3/255)
fi
data=(); [ -z "$DATA" ] || data=(--data "$DATA")

net() { # folder, config, words
  if [ -f "$home/$1/manifest.json" ]; then
    echo "$1: already trained, in $home/$1"
  else
    say "$3"
    "$CARGO_BIN/holdfast-trainer" train --config "configs/train/$2.toml" "${data[@]}" "${shorter[@]}" --out "$home/$1"
  fi
}
net undefended "$config-vanilla" "2/6  Training an undefended net on $name"
net robust "$config" "3/6  Training a robust net, by attacking it while it learns"

say "4/6  The same attacks on both (0 worst … 100 best)"
"$CARGO_BIN/holdfast-trainer" compare "$home/undefended" "$home/robust"

if [ ! -d "$home/pictures" ]; then
  say "5/6  Choosing pictures that neither net has seen: a gallery, a canary set for the monitor, some queries"
  "$CARGO_BIN/holdfast-trainer" export "${data[@]}" --config "configs/train/$config.toml" --out "$home/pictures" \
    --gallery 1000 --canary 64 --queries 32
fi

cat >"$home/serve.toml" <<TOML
# Written by make demo.
checkpoint = "$home/robust"
data_dir = "$home/data"
bind = "127.0.0.1:$PORT"

[monitor]
canary = "$home/pictures/canary"
epsilon = "${budget[0]#*=}"
alpha = "${budget[1]#*=}"
steps = 16
queries = 32
live_queries = 16
batch = 16
interval_seconds = 30
TOML

say "6/6  Serving"
start_server

if [ ! -f "$home/imported" ]; then
  "$CARGO_BIN/holdfast" import "$home/pictures/gallery" --url "http://127.0.0.1:$PORT" && touch "$home/imported"
fi

query=$(find "$home/pictures/queries" -type f | sort | head -n 1)
say "Open http://127.0.0.1:$PORT and drop a picture of $home/pictures/queries on it. Or:"
cat <<TEXT
  curl --data-binary @$query -H 'Content-Type: image/png' 'http://127.0.0.1:$PORT/v1/search?limit=5'
  curl http://127.0.0.1:$PORT/v1/robustness
  curl -s http://127.0.0.1:$PORT/metrics | grep holdfast_robustness
  http://127.0.0.1:$PORT/docs  describes every route; the log is $home/serve.log.  Ctrl-C stops; make demo starts again in seconds.
TEXT
wait "$server"
