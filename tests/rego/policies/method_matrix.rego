# A matrix of roles and methods for each service.
package envoy.authz

import future.keywords.if
import future.keywords.in

default allow = false

allow if {
	method_allowed(service, input.attributes.request.http.method)
	not suspended
}

method_allowed(name, method) if {
	some role in roles
	data.matrix[name][role][_] == method
}

method_allowed(name, "OPTIONS") if data.matrix[name]

roles := {trim_space(role) | some role in split(input.attributes.request.http.headers["x-roles"], ",")}

service := trim_suffix(input.attributes.request.http.host, ".shop.svc")

suspended if input.attributes.request.http.headers["x-account"] == data.suspended[_]
