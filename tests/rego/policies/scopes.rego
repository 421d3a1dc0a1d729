# The scopes of the verified token, against what each route needs.
package envoy.authz

import rego.v1

default allow := false

claims := input.attributes.metadataContext.filterMetadata["envoy.filters.http.jwt_authn"].verified_jwt

scopes contains scope if some scope in split(claims.scope, " ")

scopes contains scope if some scope in claims.scp

needed contains scope if {
	some route in data.routes
	startswith(input.attributes.request.http.path, route.prefix)
	scope := route.scopes[input.attributes.request.http.method]
}

allow if {
	count(needed) > 0
	every scope in needed { scope in scopes }
	claims.aud == "https://orders.example"
}
