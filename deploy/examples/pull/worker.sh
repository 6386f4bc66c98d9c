#!/usr/bin/env bash
# A worker of a pull queue in bash and curl: one job at a time, given to a command of yours on its standard input.
#
#   OUTBOXD_URL=http://127.0.0.1:8377 OUTBOXD_API_KEY=obx_… ./worker.sh mail ./send-mail [--drain]
#
# The command gets the claim as JSON (`jobs[0]` is the job). Exit 0: completed, and what it printed, JSON, is the output;
# 100: failed for good; anything else: failed, to be tried again. --drain: ends when nothing is due.
set -euo pipefail

queue=$1 command=$2 drain=${3:-}
url=${OUTBOXD_URL:-http://127.0.0.1:8377}
lease_s=60
uuid='[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'

# The key comes by a file descriptor: arguments show in `ps`.
post() {
  curl --silent --show-error --fail-with-body --max-time 60 --retry 5 --retry-connrefused \
    --header @<(printf 'authorization: Bearer %s\n' "$OUTBOXD_API_KEY") \
    --header 'content-type: application/json' --data-binary "$2" "$url$1"
}

keep() { # extends the lease until it is killed
  trap 'kill "$napping"; exit' TERM
  while true; do
    sleep $((lease_s / 3)) &
    napping=$!
    wait "$napping"
    post "/v1/leases/$1/extend" "{\"leaseSeconds\":$lease_s}"
  done
}

wait_ms=20000
[[ $drain == --drain ]] && wait_ms=0
while true; do
  claim="{\"worker\":\"$(hostname):$$\",\"limit\":1,\"leaseSeconds\":$lease_s,\"waitMs\":$wait_ms}"
  claimed=$(post "/v1/queues/$queue/claim" "$claim") || { echo "$claimed" >&2; exit 1; }
  if ! [[ $claimed =~ \"lease\":\{\"id\":\"($uuid)\" ]]; then
    [[ $drain == --drain ]] && exit 0
    sleep 1
    continue
  fi
  lease=${BASH_REMATCH[1]}
  [[ $claimed =~ \"jobs\":\[\{\"id\":\"($uuid)\" ]]
  job=${BASH_REMATCH[1]}
  keep "$lease" > /dev/null 2>&1 &
  keeper=$!
  status=0
  output=$("$command" <<< "$claimed") || status=$?
  kill "$keeper" 2> /dev/null || true
  case $status in
    0) result="\"outcome\":\"completed\",\"output\":${output:-null}" ;;
    100) result="\"outcome\":\"failed\",\"final\":true,\"error\":{\"class\":\"Refused\"}" ;;
    *) result="\"outcome\":\"failed\",\"error\":{\"class\":\"Exit\",\"status\":$status}" ;;
  esac
  # Said again after a lost answer it is answered `repeated`.
  post "/v1/leases/$lease/settle" "{\"results\":[{\"jobId\":\"$job\",$result}]}" || echo " not settled: $job" >&2
  echo
done
