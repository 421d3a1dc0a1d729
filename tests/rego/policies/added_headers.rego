# What the upstream is told of the caller, and what of the caller's own headers it isn't.
package envoy.response

import rego.v1

claims := input.attributes.metadataContext.filterMetadata["envoy.filters.http.jwt_authn"].verified_jwt

headers["x-subject"] := claims.sub

headers["x-groups"] := concat(",", sort(claims.groups))

headers[name] := value if {
	some claim, value in claims.forward
	name := sprintf("x-claim-%s", [lower(replace(claim, "_", "-"))])
}

headers["x-age"] := format_int(input.now - claims.iat, 10)

headers_to_remove contains name if {
	some name, _ in input.attributes.request.http.headers
	strings.any_prefix_match(name, ["x-internal-", "x-claim-"])
}

result := {
	"allowed": count(object.keys(headers)) > 1,
	"headers": headers,
	"request_headers_to_remove": headers_to_remove,
}
