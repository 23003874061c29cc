#!/usr/bin/env bash
# The same with curl:  bash examples/service_client.sh http://127.0.0.1:8766 painted/ monet photo.jpg another.jpg
# With a token: UPBRUSH_SERVE_TOKEN=word bash examples/service_client.sh ...
set -euo pipefail
address=${1%/} out=$2 style=$3
shift 3
mkdir -p "$out"
ask() { curl --silent --show-error --fail-with-body --header "Authorization: Bearer ${UPBRUSH_SERVE_TOKEN:-}" "$@"; }

# One picture, waited for.
ask --form "picture=@$1" --form "style=$style" --form format=jpeg --output "$out/first.jpg" "$address/v1/paint"

# All of them, as a job: begin, follow, fetch.
forms=()
for picture in "$@"; do forms+=(--form "picture=@$picture"); done
job=$(ask "${forms[@]}" --form "style=$style" "$address/v1/jobs" | sed -E 's/.*"id": ?"([0-9a-f]{32})".*/\1/')
ask --no-buffer "$address/v1/jobs/$job/events" | sed -nE 's/.*"progress": ?([0-9.]+).*/progress \1/p'
ask --output "$out/all.zip" "$address/v1/jobs/$job/results.zip"
ask --request DELETE "$address/v1/jobs/$job"
echo "$out/first.jpg and $out/all.zip"
