# Stock, shown to everybody who is entitled and changed from inside the cluster only.
package everycall.inventory

import data.everycall.lib

decision := {"allow": true, "reason": "read_stock"} if {
	input.request.method == "GET"
	lib.purpose
	lib.sensitivity
}

decision := {"allow": true, "reason": "change_stock"} if {
	input.request.method == "PUT"
	"cluster" in input.connection.networks
	lib.purpose
	lib.sensitivity
}
