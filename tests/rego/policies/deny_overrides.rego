# Whatever denies counts, and says why; nothing is allowed that nobody allows.
package authz

import rego.v1

deny contains "a method that is not served" if not input.attributes.request.http.method in {"GET", "POST", "DELETE"}

deny contains msg if {
	input.attributes.request.http.method == "DELETE"
	not input.identity.mfa
	msg := "deletion needs a second factor"
}

deny contains msg if {
	some name, limit in data.limits
	input.usage[name] > limit
	msg := sprintf("%s: %d of %d", [name, input.usage[name], limit])
}

deny contains sprintf("%v is on hold", [input.identity.sub]) if input.identity.sub in data.holds

allow contains "own data" if input.parsed_path[1] == input.identity.sub

allow contains "staff" if input.identity.staff

response := {"allowed": allowed, "reasons": sort([reason | some reason in reasons])} if {
	allowed := count(deny) == 0
	reasons := deny | {"nobody allows it" | count(allow) == 0}
	count(deny) + count(allow) > 0
} else := {"allowed": false, "reasons": ["nobody allows it"]}
