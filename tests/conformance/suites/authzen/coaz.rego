# AuthZEN's default mapping for MCP (COAZ), as far as headers tell what is called: a body is not read.
package everycall

import data.coaz

decision := {"allow": true, "reason": "coaz"} if input.pdp.coaz.decision

# What the profile lets through without a question.
decision := {"allow": true, "reason": "pass_through"} if passes

passes if method == "ping"

passes if startswith(method, "notifications/")

# The profile's error for a denial. The id of the request is in its body: none is named.
decision := {"allow": false, "reason": "coaz", "obligations": {"response": {"status": 403, "body": {
	"jsonrpc": "2.0",
	"id": null,
	"error": {"code": -32001, "message": "Access denied"},
}}}} if denied

denied if input.pdp.coaz.decision == false

# What has no mapping is not asked.
denied if {
	not resource
	not passes
}

ask contains {
	"id": "coaz",
	"subject": {"type": "identity", "id": input.identity.claims.sub},
	"action": {"name": method},
	"resource": resource,
	"context": context,
} if true

# One value each: of several, nobody knows which one the server takes.
method := value if [value] := input.request.headers["mcp-method"]

given := value if [value] := input.request.headers["mcp-name"]

name := given if not startswith(given, "=?base64?")

name := base64.decode(encoded) if {
	startswith(given, "=?base64?")
	endswith(given, "?=")
	encoded := trim_suffix(trim_prefix(given, "=?base64?"), "?=")
}

resource := {"type": "mcp_server", "id": server} if method in coaz.of_the_server

resource := {"type": coaz.named[method], "id": name} if name != ""

server := input.identity.claims.aud if is_string(input.identity.claims.aud)

# Of several audiences the one that is this server.
server := coaz.server if {
	is_array(input.identity.claims.aud)
	coaz.server in input.identity.claims.aud
}

context := {"agent": input.identity.claims.client_id}

context := {} if not input.identity.claims.client_id
