# Administration: nobody without a ticket, unless the glass is broken, and then it is told.
package admin

import rego.v1

default decision := {"allowed": false}

is_admin if "admin" in input.identity.groups

ticket := data.tickets[input.attributes.request.http.headers["x-ticket"]]

ticket_holds if {
	ticket.assignee == input.identity.sub
	ticket.state != "closed"
	some prefix in ticket.paths
	startswith(input.attributes.request.http.path, prefix)
}

broken if {
	is_admin
	reason := trim_space(input.attributes.request.http.headers["x-break-glass"])
	count(reason) >= 10
	not input.identity.sub in data.no_glass
}

decision := {"allowed": true, "headers": {"x-ticket-owner": ticket.assignee}} if {
	is_admin
	ticket_holds
} else := {"allowed": true, "headers": {"x-alarm": "break-glass", "x-alarm-by": input.identity.sub}} if broken

else := {"allowed": false, "body": "a ticket is needed"} if is_admin
