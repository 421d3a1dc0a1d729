# Reports, read by whoever is on call: in the office, for a reason that tells a reader something.
package everycall.oncall

import data.everycall.lib.sensitivity
import data.everycall.lib.values

decision := {"allow": true, "reason": "report"} if {
	"office" in input.connection.networks
	sensitivity.within_ceiling
	reason := values.one(input.request.headers["x-reason"])
	length := count(trim_space(reason))
	length >= 12
	length <= 200
}
