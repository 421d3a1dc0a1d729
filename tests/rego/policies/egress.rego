# Where workloads may call to, by name, by suffix or by network.
package egress

import rego.v1

default decision := {"allow": false, "reason": "not on the list"}

decision := {"allow": true, "reason": reason} if {
	reason := min(reasons)
	count(denied) == 0
}

decision := {"allow": false, "reason": reason} if {
	some reason in denied
	count(denied) == 1
}

rules := data.egress_rules[input.workload]

host := lower(input.attributes.request.http.host)

name := split(host, ":")[0]

port := to_number(split(host, ":")[1])

reasons contains "by name" if name in rules.names

reasons contains "by suffix" if strings.any_suffix_match(name, {suffix | some suffix in rules.suffixes})

reasons contains "by network" if {
	some network in rules.networks
	net.cidr_contains(network, name)
}

denied contains "plain" if {
	input.attributes.request.http.scheme == "http"
	not name in object.get(rules, "plain", [])
}

denied contains "port" if not port in {443, 8443}
