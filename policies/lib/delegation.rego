# On whose behalf the call is made.
package everycall.lib.delegation

# For a user, by this caller alone and not through further actors.
direct if {
	is_string(input.identity.on_behalf_of)
	input.identity.actors == []
}

# For nobody but the caller itself.
none if input.identity.on_behalf_of == null
