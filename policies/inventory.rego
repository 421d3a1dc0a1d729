# Stock, shown to everybody who is entitled and changed from inside the cluster only.
package everycall.inventory

import data.everycall.lib.purpose
import data.everycall.lib.sensitivity

decision := {"allow": true, "reason": "read_stock"} if {
	input.request.method == "GET"
	purpose.stated
	sensitivity.within_ceiling
}

decision := {"allow": true, "reason": "change_stock"} if {
	input.request.method == "PUT"
	"cluster" in input.connection.networks
	purpose.stated
	sensitivity.within_ceiling
}
