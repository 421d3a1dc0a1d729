# Stock corrections: each one names the ticket that it was approved under.
package everycall.corrections

import data.everycall.lib.sensitivity
import data.everycall.lib.values

decision := {"allow": true, "reason": "approved_correction"} if {
	values.one(input.request.headers["x-ticket"]) == input.elevation.ticket
	sensitivity.within_ceiling
}
