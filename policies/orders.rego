# Orders, placed and read by the checkout.
package everycall.orders

import data.everycall.lib.purpose
import data.everycall.lib.sensitivity

decision := {"allow": true, "reason": "place_order"} if {
	input.request.method == "POST"
	purpose.stated
	sensitivity.within_ceiling
}

decision := {"allow": true, "reason": "read_order"} if {
	input.request.method == "GET"
	purpose.stated
	sensitivity.within_ceiling
}
