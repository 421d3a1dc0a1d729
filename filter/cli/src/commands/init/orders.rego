# Orders, read in production for a purpose that the caller states.
package everycall.orders

decision := {"allow": true, "reason": "read_order"} if {
	input.identity.claims.environment == "production"
	[purpose] := input.request.headers["x-purpose"]
	purpose in data.purposes
}
