# The plugin's `testAuthzServer` policy, changed as `everycall check` says: who calls is a verified
# claim, the body is left to the service, and the result is one object.
package envoy.authz

import input.attributes.request.http as http_request

default allow := false

allow if {
	roles_for_user[r]
	required_roles[r]
}

allow if {
	input.parsed_path = ["my", "test", "path"]
	input.parsed_query.a = ["1", "2"]
	input.parsed_query.x = ["y"]
}

roles_for_user[r] if {
	r := user_roles[user_name][_]
}

required_roles[r] if {
	perm := role_perms[r][_]
	perm.method = http_request.method
	perm.path = http_request.path
}

user_name := input.everycall.identity.id

user_roles := {
	"alice": ["guest"],
	"bob": ["admin"],
}

role_perms := {
	"guest": [{"method": "GET", "path": "/productpage"}],
	"admin": [
		{"method": "GET", "path": "/productpage"},
		{"method": "GET", "path": "/api/v1/products"},
	],
}

result := {"allowed": allow}
