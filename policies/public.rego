# What needs no credential.
package everycall.public

decision := {"allow": true, "reason": "health"} if input.request.segments == ["healthz"]

decision := {"allow": true, "reason": "preflight"} if {
	input.request.method == "OPTIONS"
	[origin] := input.request.headers.origin
	origin in data.cors.origins
	[method] := input.request.headers["access-control-request-method"]
	method in data.cors.methods
}
