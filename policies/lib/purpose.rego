# Purpose limitation.
package everycall.lib.purpose

# The caller says once what the call is for, and the grant is for that.
stated if {
	[said] := input.request.headers["x-purpose"]
	said in data.purposes[input.grant.id]
}
