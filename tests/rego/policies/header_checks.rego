# Requests without the headers that the mesh asks for are refused, with what is missing.
package envoy.authz

import rego.v1

headers := object.get(input, ["attributes", "request", "http", "headers"], {})

missing contains name if {
	some name in ["x-request-id", "x-client", "x-purpose"]
	not headers[name]
}

malformed contains "x-request-id" if not regex.match(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, headers["x-request-id"])

malformed contains "x-client" if not regex.match(`^[a-z][a-z0-9-]{2,30}/\d+\.\d+$`, lower(headers["x-client"]))

default result := {"allowed": false, "http_status": 400}

result := {"allowed": true} if {
	count(missing) == 0
	count(malformed) == 0
}

result := {"allowed": false, "http_status": 400, "body": sprintf("missing: %s", [concat(", ", missing)])} if count(missing) > 0
