# Callers by their network; the proxies of the edge tell of whom they speak.
package envoy.authz

import rego.v1

default allow := false

peer := input.attributes.source.address.socketAddress.address

caller := peer if not trusted_proxy

caller := last if {
	trusted_proxy
	forwarded := split(input.attributes.request.http.headers["x-forwarded-for"], ",")
	last := trim_space(forwarded[count(forwarded) - 1])
}

trusted_proxy if net.cidr_contains("10.255.0.0/16", peer)

allow if {
	some network in data.networks.allowed
	net.cidr_contains(network, caller)
	not blocked
}

blocked if {
	some network in data.networks.blocked
	net.cidr_contains(network, caller)
}
