# Paths that need no identity, by globs, and all others for those who have one.
package istio.authz

import rego.v1

default allow := false

public := ["/healthz", "/static/**", "/docs/*.html", "/.well-known/*"]

path := split(input.attributes.request.http.path, "?")[0]

allow if {
	some pattern in public
	glob.match(pattern, ["/"], path)
	not contains(path, "..")
}

allow if {
	input.attributes.source.principal
	startswith(input.attributes.source.principal, "spiffe://cluster.local/")
}
