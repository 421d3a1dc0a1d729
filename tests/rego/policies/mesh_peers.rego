# Which workload may call which, by the identities of their certificates.
package mesh

import rego.v1

default allow := false

identity(principal) := {"namespace": namespace, "account": account} if {
	["spiffe:", "", "cluster.local", "ns", namespace, "sa", account] = split(principal, "/")
}

caller := identity(input.attributes.source.principal)

callee := identity(input.attributes.destination.principal)

allow if {
	some edge in data.edges
	matches(edge.from, caller)
	matches(edge.to, callee)
	method_allowed(edge)
}

matches(pattern, who) if {
	pattern.namespace in {who.namespace, "*"}
	object.get(pattern, "account", "*") in {who.account, "*"}
}

method_allowed(edge) if not edge.methods

method_allowed(edge) if input.attributes.request.http.method in edge.methods
