# The deploy hooks, called by production jobs and not during a service's change freeze.
package everycall.deploy

decision := {"allow": true, "reason": "no_freeze"} if {
	input.identity.claims.environment == "production"
	no_freeze
}

freeze := data.freezes[input.request.host]

# Numbers only: to Rego any number is less than any text, so a date here would lift the freeze.
no_freeze if {
	is_number(freeze.from)
	input.time < freeze.from
}

no_freeze if {
	is_number(freeze.until)
	input.time >= freeze.until
}
