# A header that the edge signed: its parts, its age and its signature.
package signed

import rego.v1

default allow := false

parts := split(input.attributes.request.http.headers["x-edge"], ".")

allow if {
	[encoded, signature] = parts
	crypto.hmac.equal(crypto.hmac.sha256(encoded, data.key), signature)
	fresh
	claim.path == input.attributes.request.http.path
}

claim := json.unmarshal(base64url.decode(parts[0]))

fresh if {
	claim.at <= input.now
	claim.at + 60 > input.now
}
