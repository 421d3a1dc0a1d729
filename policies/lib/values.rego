# Headers and query parameters, each of which may come more than once.
package everycall.lib.values

# The only one of them: `values.one(input.request.headers["x-reason"])`.
one(list) := value if [value] := list
