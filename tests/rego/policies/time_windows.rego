# Batch clients have windows, in UTC, which may pass midnight.
package hours

import rego.v1

default allow := false

minute := (clock[0] * 60) + clock[1]

clock := time.clock(input.now_ns)

windows := object.get(data.windows, input.client, [])

is_open(window) if {
	window.from <= window.to
	minute >= window.from
	minute < window.to
}

is_open(window) if {
	window.from > window.to
	passes_midnight(window)
}

passes_midnight(window) if minute >= window.from

passes_midnight(window) if minute < window.to

day_matches(window) if not window.days

day_matches(window) if substring(time.weekday(input.now_ns), 0, 3) in window.days

allow if {
	some window in windows
	is_open(window)
	day_matches(window)
}
