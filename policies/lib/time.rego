# When. All times are UTC.
package everycall.lib.time

# On one of these days: `time.on({"Monday", "Friday"})`.
on(days) if input.clock.weekday in days

# From one full hour until another of the same day.
between_hours(from, until) if {
	is_number(from)
	is_number(until)
	input.clock.hour >= from
	input.clock.hour < until
}

# Before this instant, in Unix seconds. Numbers only: to Rego any number is less than any text.
before(instant) if {
	is_number(instant)
	input.time < instant
}

# At this instant, in Unix seconds, or after it.
since(instant) if {
	is_number(instant)
	input.time >= instant
}
