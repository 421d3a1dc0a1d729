#!/bin/sh
# Reads an order as the checkout workload, then without a token. Exits 0 if the answers are 200 and 401.
#   ENVOY=http://127.0.0.1:8080 DEVSERVER=http://127.0.0.1:8081 sh envoy/client.sh
set -eu

# Both may still be starting.
call() { curl --silent --show-error --retry 30 --retry-delay 1 --retry-connrefused "$@"; }

status() {
  call --output /dev/null --write-out '%{http_code}' "$ENVOY/orders/o-1001" \
    --header 'host: orders.shop.example' --header 'x-purpose: show-order' "$@"
}

token=$(call "$DEVSERVER/issuers/workloads/token" --header 'content-type: application/json' \
  --data '{"sub": "spiffe://shop.example/ns/checkout/sa/checkout"}' |
  sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
[ -n "$token" ] || { echo "no token from $DEVSERVER" >&2; exit 1; }

with=$(status --header "authorization: Bearer $token")
without=$(status)
echo "with a token: $with; without: $without"
[ "$with $without" = "200 401" ]
