# Shared by the scripts behind `make demo` and `make gallery`; sourced, never run.

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# Starts `holdfast serve` with $home/serve.toml, which binds $PORT, and waits until it answers; it ends with this script.
start_server() {
  "$CARGO_BIN/holdfast" serve --config "$home/serve.toml" 2>"$home/serve.log" &
  server=$!
  trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
  trap 'exit 130' INT TERM
  until (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; do
    kill -0 "$server" 2>/dev/null || { cat "$home/serve.log" >&2; exit 2; }
    sleep 0.2
  done
  # A port that another program holds answers too: our server must still be there after a moment.
  sleep 0.3
  kill -0 "$server" 2>/dev/null || { cat "$home/serve.log" >&2; exit 2; }
}
