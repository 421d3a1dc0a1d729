# Refunds: small ones are decided here, larger ones by the policy decision point.
package everycall.refunds

import data.everycall.lib.delegation
import data.everycall.lib.purpose
import data.everycall.lib.sensitivity
import data.everycall.lib.task
import data.everycall.lib.values

decision := {"allow": true, "reason": "small_refund"} if {
	refund
	amount <= data.refunds.inline_limit
}

ask contains question("refund", {"amount": amount}) if large_refund

# The question was asked for a large refund only, and the answer is for this call.
decision := {"allow": true, "reason": "approved_refund"} if input.pdp.refund.decision

# Whether a refund was paid is no secret to who may order one: a silent decision point must not
# hide it. A no still counts.
ask contains question("refund_status", {}) if status

decision := {"allow": true, "reason": "refund_status"} if input.pdp.refund_status.decision

decision := {"allow": true, "reason": "refund_status_unasked", "without_pdp": true} if {
	input.pdp.refund_status.error in {"timeout", "unavailable"}
}

refund if {
	input.request.method == "POST"
	entitled
	amount > 0
}

large_refund if {
	refund
	amount > data.refunds.inline_limit
}

status if {
	input.request.method == "GET"
	entitled
}

entitled if {
	task.about("order", input.grant.params.order)
	delegation.direct
	purpose.stated
	sensitivity.within_ceiling
}

# In euros, given once and in one spelling: the service must read the same number.
amount := to_number(text) if {
	text := values.one(input.request.query.amount)
	regex.match(`^(0|[1-9][0-9]{0,5})(\.[0-9]{2})?$`, text)
}

question(name, context) := {
	"id": name,
	"subject": {"type": input.identity.kind, "id": input.identity.id},
	"action": {"name": name},
	"resource": {"type": "order", "id": input.grant.params.order},
	"context": object.union(context, {"on_behalf_of": input.identity.on_behalf_of}),
}
