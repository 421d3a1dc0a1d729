# The demo's policy decision point. `input` is an AuthZEN evaluation request.
package pdp

default decision := false

# Euros that a caller may refund without a person.
limits := {"spiffe://shop.example/agent/support-bot": 500}

# A number: to Rego null and true are less than any number.
decision if {
	input.action.name == "refund"
	input.resource.type == "order"
	is_number(input.context.amount)
	input.context.amount <= limits[input.subject.id]
}

decision if {
	input.action.name == "refund_status"
	input.resource.type == "order"
	limits[input.subject.id]
}
