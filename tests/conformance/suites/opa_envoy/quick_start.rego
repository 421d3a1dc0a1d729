# The policy of the plugin's quick start, changed as `everycall check` says: the token was verified, so
# its claims are in the input, and the body is left to the service.
package envoy.authz

import input.attributes.request.http as http_request
import input.everycall.identity.claims

default allow := false

allow if action_allowed

action_allowed if {
	http_request.method == "GET"
	claims.role == "guest"
	glob.match("/people*", [], http_request.path)
}

action_allowed if {
	http_request.method == "GET"
	claims.role == "admin"
	glob.match("/people*", [], http_request.path)
}

action_allowed if {
	http_request.method == "POST"
	claims.role == "admin"
	glob.match("/people", [], http_request.path)
}
