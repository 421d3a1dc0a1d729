# Which version a call goes to: by header, by a share of the users, or by team.
package routing

import rego.v1

default headers := {"x-version": "stable"}

headers := {"x-version": version, "x-why": why} if {
	some [why, version] in [[w, v] | some w in ["header", "team", "share"]; v := chosen[w]]
	why == first
}

first := [why | some why in ["header", "team", "share"]; chosen[why]][0]

chosen.header := version if {
	version := input.attributes.request.http.headers["x-canary"]
	version in data.versions
}

chosen.team := "canary" if input.identity.team in data.canary_teams

chosen.share := "canary" if {
	digest := crypto.sha256(input.identity.sub)
	bucket := bits.and(to_number(count(indexof_n(digest, "a"))), 1)
	bucket == 0
}
