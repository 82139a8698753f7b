#!/usr/bin/env bash
# What a person would do by hand, with real processes: three nodes found a group, a lease is taken, two
# nodes join, the leader leaves, a node loses its disk and is replaced, the group shrinks to three. The
# lease must be held, by the same token, throughout. Ends with `by hand: ok`.
#
#   tests/by_hand.sh [PROGRAM]        PROGRAM is target/release/quorate, built if it is not given
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then program=$(realpath "$1"); else
    cargo build --release --bin quorate && program=$PWD/target/release/quorate
fi
home=$(mktemp -d) && cd "$home"
trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; rm -rf "$home"' EXIT
port=$((20000 + RANDOM % 20000))
fail() { printf 'by hand: failed: %s\n' "$*"; tail -n 3 ./*.log; exit 1; }
at() { echo "127.0.0.1:$((port + $1))"; }
nodes() { local all=(); for n in "$@"; do all+=("$(at "$n")"); done; (IFS=,; echo "${all[*]}"); }
config() { # config NODE FOUNDER...: a node's file; without founders it joins
    local node=$1 founder; shift
    printf '[node]\nid = %s\nlisten = "%s"\ndata = "data%s"\n' "$node" "$(at "$node")" "$node"
    printf '[consensus_group]\nreplication_factor = 5\n'
    for founder in "$@"; do printf '[[member]]\nid = %s\naddress = "%s"\n' "$founder" "$(at "$founder")"; done
}
serve() { # serve NODE [OPTION...]: a process, whose number is kept
    local node=$1; shift
    "$program" serve --config "$node.toml" "$@" 2>>"$node.log" & pids[node]=$!
}
json() { python3 -c 'import json,sys; rows=[json.loads(l) for l in sys.stdin]; print(eval(sys.argv[1]))' "$1"; }
voters() { "$program" members --json --nodes "$(nodes "$@")" | json '" ".join(sorted(str(r["node"]) for r in rows if r["role"] in ("voter","leader")))'; }
leader() { "$program" members --json --nodes "$(nodes "$@")" | json '"".join(str(r["node"]) for r in rows if r["role"]=="leader")'; }
becomes() { # becomes WHAT COMMAND...: waits until a command prints that
    local what=$1 _; shift
    for _ in $(seq 200); do [ "$("$@" 2>/dev/null)" = "$what" ] && return; sleep 0.1; done
    fail "$* did not become: $what"
}
token() { "$program" lease list --json --nodes "$(nodes "$@")" --timeout 20s | json 'rows[0]["token"]'; }
held() { [ "$(token "$@")" = "$token" ] || fail "the lease is not held by token $token any more"; }
pids=()

for node in 1 2 3; do config "$node" 1 2 3 >"$node.toml"; serve "$node"; done
becomes "1 2 3" voters 1 2 3
"$program" lease acquire db --holder ann --for 1h --nodes "$(nodes 1 2 3)" --timeout 20s
token=$(token 1 2 3)

echo "== two join"
for node in 4 5; do config "$node" >"$node.toml"; serve "$node" --join "$(nodes 1 2 3)"; done
becomes "1 2 3 4 5" voters 1 2 3
held 4 5

echo "== the leader leaves"
gone=$(leader 1 2 3 4 5)
"$program" leave "$gone" --nodes "$(nodes 1 2 3 4 5)" --timeout 20s
wait "${pids[gone]}" || fail "node $gone did not end well"
rest=(); for node in 1 2 3 4 5; do [ "$node" = "$gone" ] || rest+=("$node"); done
becomes "${rest[*]}" voters "${rest[@]}"
held "${rest[@]}"

echo "== a node loses its disk"
leads=$(leader "${rest[@]}")
lost=$(for node in "${rest[@]}"; do [ "$node" = "$leads" ] || echo "$node"; done | head -n 1)
kill -9 "${pids[lost]}"; wait "${pids[lost]}" 2>/dev/null || true
rm -r "data$lost"
"$program" replace --config "$lost.toml" --join "$(nodes "${rest[@]}")" --timeout 20s
serve "$lost"
one_life() { "$program" members --json --nodes "$(nodes "$leads")" | json "sum(r['node']==$lost for r in rows)"; }
becomes 1 one_life
becomes "${rest[*]}" voters "$leads"
held "${rest[@]}"

echo "== the group shrinks to three"
last=$(for node in "${rest[@]}"; do [ "$node" = "$leads" ] || [ "$node" = "$lost" ] || echo "$node"; done | head -n 1)
"$program" leave "$last" --nodes "$(nodes "${rest[@]}")" --timeout 20s
three=(); for node in "${rest[@]}"; do [ "$node" = "$last" ] || three+=("$node"); done
becomes "${three[*]}" voters "${three[@]}"
held "${three[@]}"

echo "== what cannot be is said in one line"
refused() { # refused WORDS COMMAND...
    local words=$1 said; shift
    said=$("$@" 2>&1) && fail "$* was not refused"
    [ "$(wc -l <<<"$said")" = 1 ] && grep -q "$words" <<<"$said" || fail "$* said: $said"
    printf '%s\n' "$said"
}
config "${three[0]}" >twin.toml; sed -i 's/^data = .*/data = "twin"/' twin.toml
refused "choose another id" "$program" serve --config twin.toml --join "$(nodes "${three[@]}")"
config 9 >nine.toml; sed -i 's/^replication_factor/id = 7\nreplication_factor/' nine.toml
refused "serves group 1" "$program" serve --config nine.toml --join "$(nodes "${three[@]}")"
refused "is no member" "$program" leave 9 --nodes "$(nodes "${three[@]}")"
refused "cannot be reached" "$program" replace --config nine.toml --join "$(nodes 8)" --timeout 1s
echo "by hand: ok"
