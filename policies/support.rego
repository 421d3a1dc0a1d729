# An agent reads the one order that its task is about, for the user it works for.
package everycall.support

import data.everycall.lib.delegation
import data.everycall.lib.purpose
import data.everycall.lib.sensitivity
import data.everycall.lib.task

decision := {"allow": true, "reason": "task_order"} if {
	task.about("order", input.grant.params.order)
	delegation.direct
	purpose.stated
	sensitivity.within_ceiling
}
