# What several rule sets want to know. Each rule holds or is undefined: none is used negated.
package everycall.lib

# The caller says once what the call is for, and the grant is for that.
purpose if {
	[stated] := input.request.headers["x-purpose"]
	stated in data.purposes[input.grant.id]
}

# What lies behind the route is not too sensitive for this kind of caller.
sensitivity if {
	ceiling := data.ceilings[input.identity.kind]
	data.sensitivity[input.grant.sensitivity] <= data.sensitivity[ceiling]
}

# The credential is bound to a task, and the task is about the order in the path.
order_task if {
	input.identity.task.id == concat("", ["order:", input.grant.params.order])
}

# The call is made for a user, by this caller alone and not through further actors.
direct_delegation if {
	is_string(input.identity.principal)
	input.identity.actors == []
}
