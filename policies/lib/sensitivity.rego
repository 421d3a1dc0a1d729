# How sensitive what lies behind a route is, in the order of `data.sensitivity`.
package everycall.lib.sensitivity

# It is not too sensitive for this kind of caller.
within_ceiling if {
	ceiling := data.ceilings[input.identity.kind]
	at_most(ceiling)
}

# It is no more sensitive than this.
at_most(level) if data.sensitivity[input.grant.sensitivity] <= data.sensitivity[level]
