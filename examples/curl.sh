#!/bin/sh
# An answer as server-sent events, and then the stored response by its id, with curl only.
set -eu
events=$(curl --silent --show-error --fail --no-buffer http://127.0.0.1:8000/v1/responses \
    --header 'Authorization: Bearer any' --header 'Content-Type: application/json' \
    --data '{"model": "demo", "input": "Do you know the Titanic movie?", "stream": true}')
printf '%s\n' "$events" | grep '^event: ' | uniq --count

id=$(printf '%s\n' "$events" | grep --only-matching 'resp_[0-9a-f]*' | head --lines=1)
curl --silent --show-error --fail "http://127.0.0.1:8000/v1/responses/$id" \
    --header 'Authorization: Bearer any'
echo
