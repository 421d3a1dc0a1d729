# What sort of caller this is. As everywhere in this library each rule holds or is undefined: state
# what is allowed by them, and negate none.
package everycall.lib.caller

workload if input.identity.kind == "workload"

agent if input.identity.kind == "agent"

human if input.identity.kind == "human"

legacy if input.identity.kind == "legacy"
