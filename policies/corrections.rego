# Stock corrections: each one names the ticket that it was approved under.
package everycall.corrections

import data.everycall.lib

decision := {"allow": true, "reason": "approved_correction"} if {
	[ticket] := input.request.headers["x-ticket"]
	ticket == input.elevation.ticket
	lib.sensitivity
}
