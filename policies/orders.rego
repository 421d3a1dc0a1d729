# Orders, placed and read by the checkout.
package everycall.orders

import data.everycall.lib

decision := {"allow": true, "reason": "place_order"} if {
	input.request.method == "POST"
	lib.purpose
	lib.sensitivity
}

decision := {"allow": true, "reason": "read_order"} if {
	input.request.method == "GET"
	lib.purpose
	lib.sensitivity
}
