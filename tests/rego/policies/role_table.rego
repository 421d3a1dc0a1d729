# Who may call what, by a table of roles: users have roles, roles have grants.
package envoy.authz

import rego.v1

import input.attributes.request.http as http_request

default allow := false

allow if {
	some role in data.user_roles[user]
	some grant in data.role_grants[role]
	grant.method == http_request.method
	glob.match(grant.path, ["/"], http_request.path)
}

user := http_request.headers["x-user"]
