# The old hand scanners: what the exception for their keys promises is checked here, call by call.
package everycall.scanners

import data.everycall.lib.sensitivity

decision := {"allow": true, "reason": "scan_stock"} if {
	input.exception.id == "scanner-until-replacement"
	"cluster" in input.connection.networks
	sensitivity.within_ceiling
}
