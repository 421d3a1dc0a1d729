# Roles inherit from others, and so do those who have them.
package hierarchy

import rego.v1

default allow := false

held := graph.reachable(data.inherits, {role | some role in data.members[input.identity.sub]})

rights contains right if {
	some role in held
	some right in data.rights[role]
}

needed := sprintf("%s:%s", [input.parsed_path[0], action])

action := {"GET": "read", "POST": "write", "PUT": "write", "DELETE": "delete"}[input.attributes.request.http.method]

allow if needed in rights

allow if sprintf("%s:*", [input.parsed_path[0]]) in rights
