# An agent reads the one order that its task is about, for the user it works for.
package everycall.support

import data.everycall.lib

decision := {"allow": true, "reason": "task_order"} if {
	lib.order_task
	lib.direct_delegation
	lib.purpose
	lib.sensitivity
}
