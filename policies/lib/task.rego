# The task that the credential is bound to.
package everycall.lib.task

# The task is this one.
is(id) if input.identity.task.id == id

# The task is about this thing, such as `order:o-1001`.
about(kind, id) if is(concat("", [kind, ":", id]))
