# Each route has owners, who decide by their own entries; the longest prefix counts.
package ownership

import rego.v1

path := input.attributes.request.http.path

prefixes := [prefix | some prefix, _ in data.routes; startswith(path, prefix)]

longest := max([count(prefix) | some prefix in prefixes])

route := data.routes[prefix] if {
	some prefix in prefixes
	count(prefix) == longest
}

default decision := {"allow": false, "owner": "nobody"}

decision := {"allow": allowed, "owner": route.owner} if {
	allowed := input.identity.team in ({route.owner} | {team | some team in route.guests})
}
