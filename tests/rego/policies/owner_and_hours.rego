# Attributes decide: owners read their records at any time, the staff of a ward during its hours.
package wards

default allow := false

allow if {
	input.parsed_path = ["records", id]
	data.records[id].owner == subject.sub
}

allow if {
	input.parsed_path = ["records", id]
	subject.ward == data.records[id].ward
	within_hours
	input.attributes.request.http.method in {"GET", "HEAD"}
}

within_hours if {
	[hour, _, _] := time.clock(now)
	hour >= 7
	hour < 19
	not time.weekday(now) in {"Saturday", "Sunday"}
}

now := time.parse_rfc3339_ns(input.attributes.request.time)

subject := input.attributes.metadataContext.filterMetadata["envoy.filters.http.jwt_authn"].verified_jwt
