# Taking a service out of rotation: as approved, or by breaking the glass, and then from the office
# only and not for long.
package everycall.emergency

import data.everycall.lib.sensitivity

decision := {"allow": true, "reason": "approved_drain"} if {
	input.elevation.break_glass == false
	sensitivity.within_ceiling
}

decision := {"allow": true, "reason": "break_glass_drain", "obligations": {"max_stream_s": 60}} if {
	input.elevation.break_glass == true
	"office" in input.connection.networks
	sensitivity.within_ceiling
}
