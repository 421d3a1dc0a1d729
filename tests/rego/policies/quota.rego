# What is left of a team's quota, with what the call would take.
package quota

import rego.v1

team := data.teams[input.identity.team]

cost := sum([price | some kind, amount in input.request; price := data.prices[kind] * amount])

left := team.quota - sum([use.cost | some use in team.uses; use.month == input.month])

default decision := {"allow": false, "why": "no such team"}

decision := {"allow": true, "left": left - cost} if cost <= left

decision := {"allow": false, "why": sprintf("%v more than is left", [cost - left])} if cost > left
