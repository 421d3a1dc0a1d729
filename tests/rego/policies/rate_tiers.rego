# The tier of a client, and the headers by which the limiter knows it.
package gateway.tiers

import rego.v1

key := input.attributes.request.http.headers["x-api-key"]

client := data.clients[key]

tier := client.tier if client.tier

else := "free" if client

tiers := {"free": 10, "pro": 100, "unlimited": 100000}

factor := 2 if {
	client.trial_ends > input.now
} else := 1

default decision := {"allowed": false, "http_status": 401}

decision := {
	"allowed": true,
	"headers": {"x-tier": tier, "x-limit": format_int(limit, 10)},
	"dynamic_metadata": {"limit": limit},
} if {
	limit := tiers[tier] * factor
}
